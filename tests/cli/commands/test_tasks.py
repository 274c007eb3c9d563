"""`stepkit tasks` lists what comes with stepkit, and writes it for a cluster."""

import json
import re
from pathlib import Path

import pytest
import yaml

import stepkit
from stepkit.cli import main as cli
from stepkit.tekton import image_names, shipped

VERSION = stepkit.__version__
OWN = "registry.example.com:5000/team/stepkit"


def files(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): path.read_text()
        for path in directory.rglob("*")
        if path.suffix in {".yaml", ".json"}
    }


def test_without_a_directory_it_lists_pipelines_and_tasks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["tasks"]) == 0

    printed = capsys.readouterr()
    assert printed.err == ""
    lines = printed.out.splitlines()
    listed = [line.split(maxsplit=1) for line in lines if line.startswith("  ")]
    assert [name for name, _ in listed] == [*shipped.pipelines(), *shipped.tasks()]
    assert "  git-clone             Check out one revision of a git repository" in lines


def test_all_images_get_the_name_and_the_tag_of_this_version(tmp_path: Path) -> None:
    assert cli.main(["tasks", f"--out={tmp_path}", f"--image={OWN}"]) == 0

    images = set(re.findall(r"[\w./:]*stepkit:\d\S*", "".join(files(tmp_path).values())))
    assert images == {f"{OWN}:{VERSION}{suffix}" for suffix in ("", "-cpu", "-notebook")}
    task = yaml.safe_load((tmp_path / "git-clone.yaml").read_text())
    defaults = {param["name"]: param.get("default") for param in task["spec"]["params"]}
    assert defaults["image"] == f"{OWN}:{VERSION}"


def test_files_with_another_content_are_kept_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "git-clone.yaml").write_text("mine")

    assert cli.main(["tasks", f"--out={tmp_path}"]) == 2

    said = capsys.readouterr().err.splitlines()[-1]
    assert f"{tmp_path}/git-clone.yaml has another content" in said
    assert files(tmp_path) == {"git-clone.yaml": "mine"}

    assert cli.main(["tasks", f"--out={tmp_path}", "--replace"]) == 0

    assert files(tmp_path) == files(shipped.directory())
    said = capsys.readouterr().out
    overlay = tmp_path / "cluster/overlays/minimal"
    assert f"\nkubectl apply --server-side -k {overlay}\n" in said
    assert (overlay / "kustomization.yaml").is_file()
    assert said.endswith(f"\nkubectl apply --server-side -n stepkit -k {tmp_path}\n")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["--out=x", f"--image={OWN}:1.0"], "is not the name of an image without a tag"),
        (["--out=x", "--image=Team/stepkit "], "is not the name of an image without a tag"),
        ([f"--image={OWN}"], "--image and --replace belong to --out DIR"),
        (["--replace"], "--image and --replace belong to --out DIR"),
        (["--out=file"], "file"),
    ],
)
def test_wrong_options_are_refused_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: list[str],
    why: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()

    assert cli.main(["tasks", *given, "--report=report.json"]) == 2

    assert why in capsys.readouterr().err.splitlines()[-1]
    assert json.loads(Path("report.json").read_text())["reason"] == "bad-input"
    assert not Path("x").exists()


def test_a_digest_belongs_to_the_published_image_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = f"sha256:{'a' * 64}"
    (tmp_path / "images.toml").write_text(
        f'name = "registry.example.com/stepkit"\n[digests]\ngpu = ""\ncpu = "{digest}"\n'
    )
    monkeypatch.setattr(image_names, "_FILE", tmp_path / "images.toml")
    image_names._published.cache_clear()

    try:
        published = image_names.fill("- {image: stepkit:0.0.9-cpu, x: stepkit:0.0.9}")
        own = image_names.fill(published, "mine")
    finally:
        image_names._published.cache_clear()

    cpu = f"registry.example.com/stepkit:{VERSION}-cpu@{digest}"
    assert published == f"- {{image: {cpu}, x: registry.example.com/stepkit:{VERSION}}}"
    assert own == f"- {{image: mine:{VERSION}-cpu, x: mine:{VERSION}}}"
