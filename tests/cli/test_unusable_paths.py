"""A path that a command can neither reach nor make ends it with one line, and no traceback."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stepkit.cli import main as cli

COMMANDS = {
    "collect-artifacts --artifacts": ["collect-artifacts", "--artifacts={place}"],
    "collect-artifacts --files": ["collect-artifacts", "--artifacts={here}", "--files={place}/x"],
    "publish-artifacts": ["publish-artifacts", "--artifacts={place}", "--destination={here}/new"],
    "run-tests --checkout": ["run-tests", "--checkout={place}", "--artifacts={here}/new"],
    "run-tests --inputs": [
        "run-tests", "--checkout={here}", "--inputs={place}/x", "--artifacts={here}/new"
    ],
    "summarize --reports": ["summarize", "--reports={place}", "--summary={here}/new"],
    "notify --reports": ["notify", "--reports={place}"],
    "execute-notebook --output": [
        "execute-notebook", "--notebook={here}/n.ipynb", "--output={place}/x.ipynb"
    ],
    "git-clone --destination": ["git-clone", "--url=http://127.0.0.1:1/x", "--destination={place}"],
    "git-clone --ca-file": [
        "git-clone", "--url=http://127.0.0.1:1/x", "--destination={here}/new", "--ca-file={place}"
    ],
    "download-dataset --directory": [
        "download-dataset", "--url=http://127.0.0.1:1/x", "--directory={place}"
    ],
    "clean-workspace --directory": [
        "clean-workspace", "--directory={place}", "--runs-older-than=1d"
    ],
    "clean-workspace --cache": [
        "clean-workspace", "--directory={here}", "--cache={place}", "--cache-older-than=1d"
    ],
    "prepare-workspace": ["prepare-workspace", "--directory={place}"],
    "run-local": ["run-local", "{place}/pipeline.yaml"],
}  # fmt: skip


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Return a directory with a notebook."""
    notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "n.ipynb").write_text(json.dumps(notebook))
    return tmp_path


@pytest.fixture
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a place in a directory that this user may not enter."""
    if os.geteuid() == 0:
        pytest.skip("root may enter every directory")
    directory = tmp_path_factory.mktemp("closed")
    (directory / "place").mkdir()
    directory.chmod(0)
    yield directory / "place"
    directory.chmod(0o700)


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_a_name_that_is_too_long_is_refused_in_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    refuse(here, here / ("n" * 300), arguments, capsys)


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_a_closed_directory_is_refused_in_one_line(
    here: Path, closed: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    refuse(here, closed, arguments, capsys)


def refuse(
    here: Path, place: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Run a command that must not accept ``place``, and look at what it says and leaves."""
    report = here / "report.json"
    filled = [text.format(here=here, place=place) for text in arguments]

    assert cli.main([*filled, f"--report={report}"]) == 2

    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith(f"stepkit {arguments[0]}: error: ")
    assert str(place) in last
    written = json.loads(report.read_text())
    assert (written["status"], written["exit_code"]) == ("failed", 2)
    assert written["reason"] in {"bad-input", "not-found"}
    assert str(place) in written["message"]
    left = {path.name for path in here.iterdir() if not path.name.startswith(".")}
    assert left <= {"n.ipynb", "report.json", "new"}
    assert not any(path.is_file() for path in (here / "new").rglob("*"))
