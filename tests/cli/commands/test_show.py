"""`stepkit show` prints a run, with colours on a terminal alone."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import commands
import pytest
import run_records


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts/run.json").write_text(json.dumps(run_records.failed()))
    return tmp_path


def on_terminal(*args: str | Path, **env: str) -> str:
    """Run a command whose stdout is a terminal of 80 columns; return what it printed there."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-P", "-m", "stepkit", *map(str, args)]
    inherited = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "FORCE_COLOR"}}
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        done = subprocess.Popen(
            command,
            stdout=theirs,
            env={**inherited, "COLUMNS": "80", "TERM": "xterm", **env},
            stderr=theirs,
        )
        os.close(theirs)
        printed = b""
        while True:
            try:
                piece = terminal.read(1 << 16)
            except OSError:  # EIO: the other end is closed
                break
            if not piece:
                break
            printed += piece
        assert done.wait() == 0
    return printed.decode().replace("\r\n", "\n")


def test_a_run_is_shown_without_colours_where_it_is_piped(directory: Path) -> None:
    done = commands.stepkit("show", directory)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("failed  notebooks/scrna_preprocessing.ipynb\n")
    assert "KeyError: 'pca'" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_terminal_gets_colours_and_a_page_that_fits(directory: Path) -> None:
    page = on_terminal("show", directory)

    assert page.startswith("\x1b[1;31mfailed\x1b[0m  ")
    assert "\nscrna_preprocessing: 11 cells ok" not in page  # it is bold
    assert "scrna_preprocessing: 11 cells ok" in page


def test_no_color_leaves_colours_out(directory: Path) -> None:
    assert "\x1b" not in on_terminal("show", directory, NO_COLOR="1")


def test_a_terminal_without_unicode_gets_bars_of_ascii(directory: Path) -> None:
    done = commands.stepkit(
        "show", directory, env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    )

    assert done.returncode == 0
    assert "#####" in done.stdout
    assert done.stdout.isascii()
    assert "\\u25" not in done.stdout


def test_the_record_is_in_the_report(directory: Path) -> None:
    done = commands.stepkit("show", directory, "--json")

    report = json.loads(done.stdout)
    assert report["outputs"]["record"]["cause"]["reason"] == "cell-error"


def test_a_torn_record_is_refused_in_one_line(directory: Path) -> None:
    path = directory / "artifacts/run.json"
    path.write_text(path.read_text()[:1000])

    done = commands.stepkit("show", directory)

    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert f"{path} is not whole: " in line
    assert line.endswith("[bad-input]")


def test_a_run_that_is_not_there_has_no_guesses_that_are_far_from_it(directory: Path) -> None:
    done = commands.stepkit("show", directory / "nosuch")

    assert done.returncode == 2
    assert f"there is no run at {directory}/nosuch: name run.json, or a direc" in done.stderr
