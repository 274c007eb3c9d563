"""Pushed images get their digests into images.toml, from a registry on this machine."""

import hashlib
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import commands
import pytest

from images import build, push

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "stepkit/tekton/images.toml"
ACCEPTED = {"Accept": "application/vnd.oci.image.manifest.v1+json"}


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start a registry, to which buildah and podman speak without TLS; return its address."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    config = tmp_path / "registry.yml"
    config.write_text(
        "version: 0.1\nhttp: {addr: '127.0.0.1:0'}\n"
        f"storage: {{filesystem: {{rootdirectory: {tmp_path}/registry}}}}\n"
    )
    command = [program, "serve", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr
            lines = (re.search(r"listening on (127\.0\.0\.1:\d+)", line) for line in server.stderr)
            address = next(found[1] for found in lines if found)
            insecure = tmp_path / "registries.conf"
            insecure.write_text(f'[[registry]]\nlocation = "{address}"\ninsecure = true\n')
            monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(insecure))
            yield address
        finally:
            server.terminate()


@pytest.mark.images
@pytest.mark.parametrize("builder", ["buildah", "podman"])
def test_the_digests_are_those_of_the_registry(registry: str, builder: str, tmp_path: Path) -> None:
    if shutil.which(builder) is None:
        pytest.skip(f"{builder} is not installed")
    (tmp_path / "Containerfile").write_text("FROM scratch\nCOPY a /\n")
    (tmp_path / "a").write_text("a")
    name = f"{registry}/team/stepkit"
    tags = {"gpu": f"{name}:0.2.0", "cpu": f"{name}:0.2.0-cpu"}
    for tag in tags.values():
        done = commands.run("buildah", "build", "--isolation=chroot", f"--tag={tag}", tmp_path)
        assert done.returncode == 0, done.stderr
    file = tmp_path / "images.toml"
    shutil.copy(IMAGES, file)
    try:
        push.push(builder, name, tags, file)
    finally:
        commands.run("buildah", "rmi", *tags.values())

    written = tomllib.loads(file.read_text())
    assert written["name"] == name
    for kind, tag in tags.items():
        url = f"http://{registry}/v2/team/stepkit/manifests/{tag.rpartition(':')[2]}"
        with urlopen(Request(url, headers=ACCEPTED)) as answer:
            manifest = answer.read()
        assert json.loads(manifest)["schemaVersion"] == 2
        assert written["digests"][kind] == f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    assert written["digests"]["notebook"] == ""
    lines = len(IMAGES.read_text().splitlines())
    assert len(file.read_text().splitlines()) == lines


def test_an_image_that_cannot_be_pushed_changes_no_file(tmp_path: Path) -> None:
    builder = tmp_path / "podman"
    builder.write_text("#!/bin/sh\nexit 125\n")
    builder.chmod(0o755)
    file = tmp_path / "images.toml"
    shutil.copy(IMAGES, file)

    with pytest.raises(subprocess.CalledProcessError):
        push.push(str(builder), "example.com/stepkit", {"cpu": "example.com/stepkit:1-cpu"}, file)

    assert file.read_bytes() == IMAGES.read_bytes()


def test_images_of_this_machine_alone_are_not_pushed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        build.main(["--push", "cpu"])

    assert "--push needs --name REGISTRY/.../stepkit" in capsys.readouterr().err
