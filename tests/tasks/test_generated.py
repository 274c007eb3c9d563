"""The files that name every step are what `make generated` would write."""

import shutil
import sys
from pathlib import Path

import pytest

from stepkit import __version__
from tasks import generated


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy what `make generated` reads and writes."""
    for name in ("tasks", "docs", "images", "stepkit/cli", "stepkit/test_suite"):
        shutil.copytree(generated.ROOT / name, tmp_path / name)
    for name in ("README.md", "action.yml", "mkdocs.yml", "uv.lock", "stepkit/__init__.py"):
        shutil.copy(generated.ROOT / name, tmp_path / name)
    return tmp_path


def run(root: Path, monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    monkeypatch.setattr(sys, "argv", ["generated", *args])
    return generated.main(root)


def test_no_generated_file_is_stale() -> None:
    assert list(generated.stale()) == [], "run `make generated`"


def test_check_names_what_is_stale_and_writes_nothing(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(copy, monkeypatch)
    assert run(copy, monkeypatch, "--check") == 0
    made = copy / "tasks/stepactions"
    (made / "summarize.yaml").write_text("kind: StepAction\n")
    (made / "git-clone.yaml").unlink()
    (made / "old.yaml").write_text("kind: StepAction\n")
    reference = copy / "docs/cli.md"
    reference.write_text(reference.read_text().replace("### git-clone", "### git-copy"))
    site = copy / "mkdocs.yml"
    site.write_text(site.read_text().replace("- git-clone: docs", "- git-copy: docs"))
    (copy / "tasks/kustomization.yaml").unlink()
    clone = copy / "tasks/git-clone.yaml"
    clone.write_text(clone.read_text().replace(f"stepkit:{__version__}", "stepkit:0.0.9"))
    page = copy / "docs/zh/images.md"
    page.write_text(page.read_text().replace(f"stepkit:{__version__}-cpu", "stepkit:0.0.9-cpu"))
    prepare = copy / "tasks/prepare-workspace.yaml"
    prepare.write_text(prepare.read_text().replace(f"version={__version__}", "version=0.0.9"))
    variables = copy / "stepkit/cli/secret_variables.py"
    variables.write_text(variables.read_text().replace("GIT_TOKEN", "GOT_TOKEN"))
    names = copy / "stepkit/__init__.py"
    names.write_text(names.read_text().replace('    "git_clone",\n', ""))
    stub = copy / "stepkit/__init__.pyi"
    stub.write_text(stub.read_text().replace("attempts: int = 5", "attempts: int = 6"))
    lock = copy / "uv.lock"
    named = 'name = "pytest-cov"\nversion = "'
    lock.write_text(lock.read_text().replace(named, f"{named}9"))
    guide = copy / "docs/tekton.md"
    guide.write_text(guide.read_text().replace("A cell asked for more", "A cell wanted more"))

    assert run(copy, monkeypatch, "--check") == 1

    assert capsys.readouterr().err.splitlines() == [
        f"{name} is stale: run `make generated`"
        for name in (
            "docs/cli.md",
            "docs/tekton.md",
            "docs/zh/images.md",
            "mkdocs.yml",
            "stepkit/__init__.py",
            "stepkit/__init__.pyi",
            "stepkit/cli/secret_variables.py",
            "stepkit/test_suite/plugin_versions.txt",
            "tasks/git-clone.yaml",
            "tasks/kustomization.yaml",
            "tasks/prepare-workspace.yaml",
            "tasks/stepactions/git-clone.yaml",
            "tasks/stepactions/old.yaml",
            "tasks/stepactions/summarize.yaml",
        )
    ]
    assert (made / "summarize.yaml").read_text() == "kind: StepAction\n"


def test_a_second_run_mends_what_is_stale(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(copy, monkeypatch)
    made = copy / "tasks/stepactions"
    before = {path.name: path.read_text() for path in made.iterdir()}
    (made / "summarize.yaml").unlink()
    (made / "old.yaml").write_text("kind: StepAction\n")
    (copy / "tasks/kustomization.yaml").write_text("")
    clone = copy / "tasks/git-clone.yaml"
    clone.write_text(clone.read_text().replace(__version__, "0.0.9"))

    assert run(copy, monkeypatch) == 0

    assert {path.name: path.read_text() for path in made.iterdir()} == before
    assert generated.stale(copy) == {}


def test_a_page_without_the_marks_of_its_table_is_refused(copy: Path) -> None:
    (copy / "docs/cli.md").write_text("# The command line\n")

    with pytest.raises(ValueError, match=r"cli\.md needs the lines"):
        generated.wanted(copy)
