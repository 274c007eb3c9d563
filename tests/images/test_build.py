import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from images import build, install

ROOT = Path(__file__).parents[2]
FACTS = {"VERSION": "1.2", "COMMIT": "abc", "CREATED": "2026-01-01T00:00:00+00:00"}


def test_every_image_gets_as_build_arguments_what_it_is_built_from() -> None:
    base = "example.com/rapids:26.10@sha256:0123"
    line = build.command("podman", "gpu", name="stepkit", facts=FACTS, base=base)

    assert "--tag=stepkit:1.2" in line
    assert f"--build-arg=BASE={base}" in line
    assert "--build-arg=COMMIT=abc" in line
    assert line[-1] == "."


def test_the_notebooks_layer_lies_on_the_image_of_the_same_version() -> None:
    line = build.command("buildah", "notebook", name="stepkit", facts=FACTS)

    assert "--build-arg=BASE=stepkit:1.2" in line
    assert "--tag=stepkit:1.2-notebook" in line
    assert not any("COMMIT" in word for word in line)


def test_a_build_never_takes_an_old_stage_for_a_new_one() -> None:
    for builder, flag in (("buildah", "--layers=false"), ("docker", "--no-cache")):
        assert flag in build.command(builder, "cpu", name="stepkit", facts=FACTS)


def test_pip_settings_are_lent_as_secrets_without_paths_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("certificate")
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://example.com/simple\nfind-links = /\n"
        f"extra-index-url = file:///srv/simple\ncert = {tmp_path}/ca.pem\n"
    )
    directory = tmp_path / "lent"
    directory.mkdir()

    flags = build.pip_secrets(
        {"PIP_CONFIG_FILE": str(config), "SSL_CERT_FILE": f"{tmp_path}/ca.pem"}, directory
    )

    assert flags == [
        f"--secret=id=ca.crt,src={tmp_path}/ca.pem",
        f"--secret=id=pip.conf,src={directory}/pip.conf",
    ]
    lent = configparser.ConfigParser()
    lent.read(directory / "pip.conf")
    assert lent["global"]["index-url"] == "https://example.com/simple"
    assert lent["global"]["cert"] == "/run/secrets/ca.crt"
    assert not {"find-links", "extra-index-url"} & set(lent["global"])
    assert (directory / "pip.conf").stat().st_mode & 0o777 == 0o600


def test_an_unknown_image_is_named() -> None:
    command = [sys.executable, "-m", "images.build", "gpu", "tpu"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "unknown image tpu: choose from gpu, cpu, notebook" in done.stderr


def test_a_machine_without_a_builder_gets_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    assert build.main(["cpu"]) == 2
    assert "none of buildah, podman, docker" in capsys.readouterr().err


@pytest.mark.parametrize("kind", build.KINDS)
def test_every_containerfile_ends_as_uid_1001_and_lends_pip_its_secrets(kind: str) -> None:
    text = (ROOT / "images" / build.KINDS[kind]).read_text()

    users = re.findall(r"^USER (\S+)", text, re.MULTILINE)
    assert users[-1] == "1001"
    assert "--mount=type=secret,id=pip.conf" in text
    assert "install.py --lock" in text


@pytest.mark.parametrize("name", ["notebook", "notebook-25.04"])
def test_a_lock_of_the_notebooks_layer_pins_what_its_list_names(name: str) -> None:
    wanted = (ROOT / f"images/{name}.in").read_text()
    names = re.findall(r"^[a-z][a-z0-9-]+", wanted, re.MULTILINE)
    lock = (ROOT / f"images/{name}.lock").read_text()

    assert {"scanpy", "igraph", "leidenalg"} < set(names)
    for package in names:
        assert re.search(rf"^{package}==", lock, re.MULTILINE), package


def test_the_compose_file_gives_notebooks_the_memory_they_need() -> None:
    compose = yaml.safe_load((ROOT / "images/compose.yaml").read_text())
    service = compose["services"]["stepkit"]

    assert service["shm_size"]
    assert service["ulimits"]["memlock"] == -1
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert "gpu" in device["capabilities"]


def test_the_lock_of_the_images_has_the_extras_that_they_install() -> None:
    wanted = set(install._EXTRAS.split(","))

    for script in ("wheel.sh", "sbom.sh"):
        text = (ROOT / "images" / script).read_text()
        assert set(re.findall(r"--extra (\w+)", text)) == wanted, script


def test_the_sbom_lists_what_the_lock_installs(tmp_path: Path) -> None:
    target = tmp_path / "stepkit.cdx.json"
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if shutil.which("uv", path=programs) is None:
        pytest.skip("uv is not installed")
    command = ["sh", "images/sbom.sh", str(target)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PATH": programs}, check=True)

    bom = json.loads(target.read_text())
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.5")
    assert bom["metadata"]["component"]["name"] == "stepkit"
    names = {component["name"] for component in bom["components"]}
    assert {"papermill", "gitpython", "pytest"} <= names
    assert not {"ruff", "mypy", "scanpy"} & names
    assert all(component["purl"].startswith("pkg:pypi/") for component in bom["components"])
