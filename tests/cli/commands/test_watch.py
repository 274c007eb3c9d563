"""`stepkit watch` follows a run by its NAME.progress.json, and ends with it."""

import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import commands
import pytest
from progress_states import ended, state, write
from samples import write_notebook
from users import RANDOM, stepkit_as
from waiting import until

from stepkit.cli import main as cli
from stepkit.cli.commands import watch
from stepkit.system import process_identity

COMMAND = [sys.executable, "-P", "-m", "stepkit", "watch"]
DEAD: Any = {**process_identity.own(), "ticks": 0}
OTHER: Any = {**process_identity.own(), "boot": "another", "host": "pod-7", "pid": 1}
_ERASE = re.compile(r"\r\x1b\[(\d+)A\x1b\[J")


class Terminal:
    """A command on a terminal of 24 rows and 80 columns."""

    def __init__(self, *args: str | Path) -> None:
        ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        sizes = {"LINES", "COLUMNS", "NO_COLOR", "FORCE_COLOR"}
        env = {name: value for name, value in os.environ.items() if name not in sizes}
        self.child = subprocess.Popen(
            [*COMMAND, *map(str, args)],
            stdin=theirs, stdout=theirs, stderr=theirs, env={**env, "TERM": "xterm"},
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.written = ""
        self._reader = threading.Thread(target=self._read, args=(ours,))
        self._reader.start()

    def _read(self, ours: int) -> None:
        with os.fdopen(ours, "rb", buffering=0) as terminal:
            try:
                while piece := terminal.read(1 << 16):
                    self.written += piece.decode().replace("\r\n", "\n")
            except OSError:  # EIO: the other end is closed
                pass

    def end(self) -> int:
        code = self.child.wait(60)
        self._reader.join()
        return code

    @property
    def screen(self) -> list[str]:
        """The rows that a reader sees at the end, without colours."""
        rows: list[str] = []
        for part in re.split(r"(\r\x1b\[\d+A\x1b\[J)", self.written):
            if erase := _ERASE.fullmatch(part):
                assert rows.pop() == ""  # the cursor is in the first column
                assert int(erase[1]) <= min(len(rows), 23)
                del rows[-int(erase[1]) :]
                rows.append("")
            else:
                first, *rest = re.sub(r"\x1b\[[0-9;]*m", "", part).split("\n")
                rows = [*rows[:-1], (rows or [""])[-1] + first, *rest]
        return rows


class Steps(list[Callable[[], object]]):
    """What happens while the command waits for the next state: one step for each wait."""

    def sleep(self, _: float) -> None:
        self.pop(0)()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    found = Steps()
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=found.sleep)
    monkeypatch.setattr(watch, "time", clock)
    return found


@pytest.mark.parametrize("named", ["out/analysis.ipynb", "out/analysis.progress.json", "out", ""])
def test_a_run_is_found_by_its_notebook_its_file_or_a_directory(
    tmp_path: Path, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "out", ended(0))

    assert cli.main(["watch", str(tmp_path / named)]) == 0

    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "succeeded after 1m03s: it ended with 0"
    assert (said.out.count("cell "), said.err) == (4, "")


def test_of_several_the_one_that_runs_is_found_and_then_the_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], steps: Steps
) -> None:
    write(tmp_path, ended(0, started="2026-11-30T12:00:00+00:00", notebook="new"), "new")
    write(tmp_path / "b", ended(0, notebook="old"), "old")
    (tmp_path / "mine.progress.json").write_text("{}")
    cli.main(["watch", str(tmp_path)])
    assert capsys.readouterr().out.startswith("new: ")

    write(tmp_path / "b", state(process=DEAD, started="2026-11-30T13:00:00+00:00"), "dead")
    running = write(tmp_path / "a", state(notebook="running"), "running")
    steps.append(lambda: write(running.parent, ended(0), "running"))
    cli.main(["watch", str(tmp_path)])

    assert capsys.readouterr().out.startswith("running: ")


def test_what_is_not_there_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], steps: Steps
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.json").write_text("[]")
    later_version = {**state(), "schema": "stepkit.progress/2"}
    (tmp_path / "y.json").write_text(json.dumps(later_version))
    (tmp_path / "z.json").write_text(json.dumps({**state(), "cells": 3}))
    for name, begins in (
        ("a.ipynb", f"there is no {tmp_path}/a.progress.json: execute-notebook writes it while"),
        ("empty", f"no notebook has run in {tmp_path}/empty: there is no NAME.progress.json in it"),
        ("x.json", f"{tmp_path}/x.json does not tell of a run: name a file NAME.progress.json"),
        ("y.json", f"{tmp_path}/y.json is of another version ('stepkit.progress/2'): this stepkit"),
        ("z.json", f"{tmp_path}/z.json: cells must be a list, not 3"),
    ):
        assert cli.main(["watch", str(tmp_path / name)]) == 2

        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith(f"stepkit watch: error: {begins}"), said.err
        assert said.err.count("\n") == 1
    assert cli.main(["watch", str(tmp_path / "z.json"), "--wait", "1h"]) == 2
    assert steps == []


def test_a_directory_that_cannot_be_read_is_not_called_empty(volume: Path) -> None:
    (volume / "closed").mkdir(mode=0o700)

    done = stepkit_as(RANDOM, "watch", volume / "closed")

    assert done.returncode == 2
    assert f"cannot read {volume}/closed: Permission denied for uid {RANDOM}" in done.stderr


def test_each_state_is_a_line_of_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], steps: Steps
) -> None:
    write(tmp_path, state(1))
    steps += [
        lambda: None,
        lambda: write(tmp_path, state(2, lines=["\x7f ##[error]"], written="2")),
        lambda: write(tmp_path, ended(0, written="3")),
    ]

    assert cli.main(["watch", str(tmp_path), "--json-lines"]) == 0

    out = capsys.readouterr().out
    states = [json.loads(line) for line in out.splitlines()]
    assert states[-1]["ending"]["message"] == "it ended with 0"
    assert [len(one["cells"]) for one in states] == [1, 2, 4]
    assert "##[" not in out
    assert out.isascii()


def test_json_is_the_report_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, ended(0))

    assert cli.main(["watch", str(tmp_path), "--json", "--json-lines"]) == 0

    report = json.loads(capsys.readouterr().out)
    assert (report["step"], report["outputs"]["progress"]["cells_total"]) == ("watch", 4)


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 143])
def test_with_exit_code_it_ends_as_the_run_did(
    tmp_path: Path, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, ended(code))

    assert cli.main(["watch", str(tmp_path)]) == 0
    capsys.readouterr()
    assert cli.main(["watch", str(tmp_path), "--exit-code"]) == (4 if code == 1 else code)

    said = capsys.readouterr()
    assert said.out.splitlines()[-1].endswith(f"it ended with {code}")
    assert (f"it ended with {code}" in said.err) == (code > 0)


def test_a_run_whose_process_is_gone_is_not_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], steps: Steps
) -> None:
    write(tmp_path, state(process=DEAD))
    steps.append(lambda: None)

    assert cli.main(["watch", str(tmp_path)]) == 4

    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "cell 3/4: step(3)"
    assert f"the run ended in cell 3/4 without saying how: its process {DEAD['pid']} is" in said.err
    assert "[killed]" in said.err


def test_a_copy_from_another_machine_is_not_waited_for(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    steps: Steps,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(tmp_path, state(process=OTHER, written="2026-11-30T10:16:00+00:00"))
    monkeypatch.setattr("stepkit.cli.liveness._LOOK_SECONDS", 0)
    steps.append(lambda: None)

    assert cli.main(["watch", str(tmp_path)]) == 4

    said = capsys.readouterr().err
    assert "the run is silent in cell 3/4: process 1 on pod-7 wrote last" in said
    assert "; it was killed, or this file is a copy [tool-failed]" in said


def test_a_run_that_has_yet_to_begin_is_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], steps: Steps
) -> None:
    write(tmp_path, ended(3, notebook="earlier"))
    steps += [
        (tmp_path / "analysis.progress.json").unlink,
        lambda: write(tmp_path, state(notebook="now")),
        lambda: write(tmp_path, ended(0, notebook="now")),
    ]

    assert cli.main(["watch", str(tmp_path), "--wait", "1m"]) == 0

    assert "earlier" not in capsys.readouterr().out
    assert steps == []


def test_after_the_wait_the_run_that_ended_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, ended(3, notebook="earlier"))

    assert cli.main(["watch", str(tmp_path), "--wait", "10ms"]) == 0

    assert capsys.readouterr().out.startswith("earlier: ")


def test_a_terminal_gets_one_page_that_is_drawn_again(tmp_path: Path) -> None:
    write(tmp_path, state(1, lines=[f"line {number}" for number in range(20)]))
    shown = Terminal(tmp_path)
    until(lambda: "line 19" in shown.written)
    write(tmp_path, ended(0, lines=["宽" * 90, "\x1b[2Jevil"]))

    assert shown.end() == 0

    assert "\x1b[1mrunning\x1b[0m" in shown.written
    assert shown.screen[0] == "passed  source/analysis.ipynb  1m03s"
    assert "line 19" not in "\n".join(shown.screen)
    assert sum(line.startswith("passed") for line in shown.screen) == 1
    assert shown.screen[-2:] == ["it ended with 0", ""]
    assert "\x1b[2J" not in shown.written


def test_ctrl_c_ends_it_and_leaves_the_page(tmp_path: Path) -> None:
    write(tmp_path, state(1))
    shown = Terminal(tmp_path)
    until(lambda: "epoch 2" in shown.written)

    shown.child.send_signal(signal.SIGINT)

    assert shown.end() == 130
    assert shown.screen[0].startswith("running  source/analysis.ipynb")
    assert "watching was stopped; the run goes on" in shown.screen[-2]
    assert "Traceback" not in shown.written


def test_a_reader_that_goes_away_ends_it(tmp_path: Path) -> None:
    write(tmp_path, state(1))
    command = [*COMMAND, str(tmp_path), "--json-lines"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stderr
        child.stdout.readline()
        child.stdout.close()
        write(tmp_path, state(2, written="2"))

        assert child.wait(60) == 141
        said = child.stderr.read().decode()
    assert "the run goes on" in said
    assert "BrokenPipe" not in said


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["cell-error", "killed"])
def test_a_real_run_is_watched_to_its_end(tmp_path: Path, ending: str) -> None:
    wait = f"while not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(.1)"
    gate = f"import os, time\nprint('waiting')\n{wait}"
    notebook = write_notebook(tmp_path / "a.ipynb", "print('begun')", gate, "{}['pca']")
    run = subprocess.Popen(
        [
            sys.executable,
            "-P",
            "-m",
            "stepkit",
            "execute-notebook",
            notebook,
            tmp_path / "out/a.ipynb",
        ],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    shown = Terminal(tmp_path / "out/a.ipynb", "--wait", "1m", "--exit-code")
    until(lambda: "waiting" in shown.written)

    if ending == "killed":
        run.kill()
    else:
        (tmp_path / "go").touch()
    run.wait(60)

    assert shown.end() == (4 if ending == "killed" else 3)
    rows = "\n".join(shown.screen)
    assert "ok         cell 1" in rows
    if ending == "killed":
        assert "the run ended in cell 2/3 without saying how" in rows
    else:
        assert rows.startswith("failed  ")
        assert "error      cell 3" in rows
        assert "KeyError: 'pca'" in rows
    done = commands.stepkit("watch", tmp_path / "out")
    assert done.returncode == (4 if ending == "killed" else 0)
