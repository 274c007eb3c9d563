"""A command sees in --report that an earlier run of it began there, and says so or refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
from greeting import Options, Outputs, Register
from step_reports import write_report

from stepkit.cli import main as cli

KILLED = {"status": "failed", "reason": "killed", "exit_code": None, "message": "never ended"}
pytestmark = pytest.mark.usefixtures("register")

BEGAN = "2026-11-22T08:00:00+00:00"


def greet(directory: Path, *flags: str) -> int:
    report, reason = directory / "greet.json", directory / "reason"
    given = ["--name=you", f"--report={report}", f"--result=reason={reason}"]
    return cli.main(["greet", *given, f"--result=message={directory}/message", *flags])


def report(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "greet.json").read_text())
    return found


def test_a_first_run_has_no_earlier_one(tmp_path: Path) -> None:
    assert greet(tmp_path, "--no-rerun") == 0
    assert report(tmp_path)["earlier"] is None


def test_a_run_after_one_that_vanished_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_report(tmp_path, "greet", **KILLED)

    assert greet(tmp_path) == 0

    assert report(tmp_path)["status"] == "succeeded"
    assert report(tmp_path)["earlier"] == {
        "runs": 1, "started": BEGAN, "status": "failed", "reason": "killed", "ended": False,
    }  # fmt: skip
    said = capsys.readouterr().err
    assert f"WARNING greet ran 2 times: the run that began at {BEGAN} never ended" in said


def test_runs_are_counted_and_the_last_one_is_named(tmp_path: Path) -> None:
    failed = {"status": "failed", "reason": "network", "exit_code": 4}
    write_report(tmp_path, "greet", **failed)

    assert [greet(tmp_path), greet(tmp_path, "--no-rerun=false"), greet(tmp_path, "--no-rerun=")] \
        == [0, 0, 0]  # fmt: skip

    earlier = report(tmp_path)["earlier"]
    assert (earlier["runs"], earlier["status"], earlier["ended"]) == (3, "succeeded", True)


@pytest.mark.parametrize(("left", "how"), [(KILLED, "never ended"), ({}, r"ended: succeeded (ok)")])
def test_no_rerun_refuses_and_keeps_the_earlier_report(
    register: Register,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    left: dict[str, Any],
    how: str,
) -> None:
    def run(_: Options) -> Outputs:
        raise AssertionError("it ran")

    register(run)
    write_report(tmp_path, "greet", **left)
    before = (tmp_path / "greet.json").read_bytes()

    assert greet(tmp_path, "--no-rerun=true") == 2

    message = (
        f"--no-rerun: the run that began at {BEGAN} {how}; {tmp_path}/greet.json is its report"
    )
    assert capsys.readouterr().err.endswith(f"stepkit greet: error: {message} [bad-input]\n")
    assert (tmp_path / "greet.json").read_bytes() == before
    assert (tmp_path / "reason").read_text() == "bad-input"
    assert (tmp_path / "message").read_text() == message


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "stepkit.report/1", "step": "greet"}'])
def test_a_file_that_is_not_a_report_of_the_command_is_no_earlier_run(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "greet.json").write_text(text)

    assert greet(tmp_path, "--no-rerun") == 0
    assert report(tmp_path)["earlier"] is None


def test_the_report_of_another_command_is_no_earlier_run(tmp_path: Path) -> None:
    write_report(tmp_path, "greet", step="git-clone")

    assert greet(tmp_path, "--no-rerun") == 0
    assert report(tmp_path)["earlier"] is None
