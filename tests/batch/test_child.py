"""The verdict from exit code and report; test_execute_notebooks.py runs real processes."""

import json
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from stepkit.batch import child as batch_child
from stepkit.batch.planned_notebook import NotebookRun, Places, Planned
from stepkit.errors import Evidence, Reason
from stepkit.gpu.step_options import GpuOptions
from stepkit.notebook.retry_options import RetryOptions
from stepkit.rules.rules_options import RulesOptions
from stepkit.system import stepkit_process
from stepkit.system.process import Completed

ONE = Planned(name="a", path=Path("a.ipynb"))
REPORT: dict[str, Any] = {
    "schema": "stepkit.report/2", "step": "execute-notebook", "status": "succeeded",
    "reason": "ok", "message": "2 of 2 cells ran", "exit_code": 0, "seconds": 1.0,
    "started": "2026-11-22T08:00:00+00:00",
    "outputs": {"cells-run": 2, "cells-total": 2, "cells": []},
}  # fmt: skip


def ended(tmp_path: Path, report: object, code: int, output: str = "") -> NotebookRun:
    path = tmp_path / "a.json"
    if report is not None:
        path.write_text(report if isinstance(report, str) else json.dumps(report))
    return batch_child.judge(ONE, Completed(code=code, output=output, seconds=1.5), path)


def test_exit_code_and_report_together_are_a_success(tmp_path: Path) -> None:
    run = ended(tmp_path, REPORT, 0)

    assert (run.status, run.reason, run.message) == ("passed", "ok", "2 of 2 cells ran")
    assert (run.cells_run, run.cells_total, run.seconds) == (2, 2, 1.5)
    assert run.report == tmp_path / "a.json"


def test_the_evidence_of_a_failed_notebook_is_that_of_its_report(tmp_path: Path) -> None:
    shown = {"ename": "KeyError", "line": 2, "output": ["loading"]}
    report = {**REPORT, "status": "failed", "exit_code": 3, "error": shown}

    run = ended(tmp_path, report, 3)

    assert run.error == Evidence(ename="KeyError", line=2, output=("loading",))
    torn = ended(tmp_path, {**report, "error": {"output": 5}}, 3)
    assert torn.message == "its report a.json cannot be read: error.output must be a list, not 5"


def test_a_flaky_notebook_is_flaky_in_the_batch(tmp_path: Path) -> None:
    message = "2 of 2 cells ran, on attempt 2 of 3, after kernel-died"

    run = ended(tmp_path, {**REPORT, "status": "flaky", "message": message}, 0)

    assert (run.status, run.reason, run.message) == ("flaky", "ok", message)


def test_tolerated_errors_are_counted(tmp_path: Path) -> None:
    cell = {"number": 1, "seconds": 1, "title": "x", "injected": "", "status": "tolerated",
            "error": {"ename": "E", "evalue": "v"}, "tolerance": "r"}  # fmt: skip
    outputs = {**REPORT["outputs"], "cells": [cell, cell]}

    run = ended(tmp_path, {**REPORT, "status": "tolerated", "outputs": outputs}, 0)

    assert (run.status, run.tolerated) == ("tolerated", 2)


@pytest.mark.parametrize(
    ("report", "code", "reason", "message"),
    [
        ("{", 0, "tool-failed", "its report a.json cannot be read"),
        ({}, 0, "tool-failed", "its report a.json cannot be read: the report needs schema"),
        ({**REPORT, "outputs": {"cells": [1]}}, 0, "tool-failed",
         "cells[0] must be a mapping, not 1"),
        (None, 0, "tool-failed", "it ended with 0 and left no report"),
        (REPORT, 3, "tool-failed",
         "its report says succeeded, exit code 0, but its process ended with 3"),
        ({**REPORT, "status": "failed", "exit_code": 3, "reason": "cell-error"}, 0, "tool-failed",
         "but its process ended with 0"),
        (REPORT, -9, "killed", "its process was killed by SIGKILL"),
        (None, -15, "killed", "its process was killed by SIGTERM before it could report"),
        (REPORT, -40, "killed", "its process was killed by signal 40"),
        ({**REPORT, "status": "failed", "exit_code": 4, "reason": "new-word"}, 4, "tool-failed",
         "2 of 2 cells ran"),
        ({**REPORT, "status": "failed", "exit_code": 1, "reason": "bug"}, 1, "bug", "2 of 2"),
        ({**REPORT, "status": "cancelled", "exit_code": 143, "reason": "cancelled"}, 143,
         "cancelled", "2 of 2"),
    ],
)  # fmt: skip
def test_anything_else_is_a_failure(
    tmp_path: Path, report: object, code: int, reason: str, message: str
) -> None:
    run = ended(tmp_path, report, code)

    assert run.status == "failed"
    assert run.reason == reason
    assert message in run.message
    assert run.exit_code == code


def test_a_process_that_the_oom_killer_ended_is_out_of_memory(tmp_path: Path) -> None:
    report = tmp_path / "a.json"
    report.write_text(json.dumps(REPORT))
    done = Completed(code=-9, output="", seconds=1.5)

    run = batch_child.judge(ONE, done, report, oom_killed=True)

    assert (run.status, run.reason, run.exit_code) == ("failed", Reason.OUT_OF_MEMORY, -9)
    assert run.message == "its process was killed for memory, by the OOM killer"


def test_a_success_with_another_exit_code_in_the_report_is_a_failure(tmp_path: Path) -> None:
    run = ended(tmp_path, {**REPORT, "exit_code": 3}, 3)

    assert run.status == "failed"
    assert run.message == "its report says succeeded, but its exit code is 3"


def test_without_a_report_the_last_error_of_the_process_is_the_message(tmp_path: Path) -> None:
    plain = "stepkit execute-notebook: error: unknown option --page"
    as_json = json.dumps({"severity": "ERROR", "body": "stepkit execute-notebook: error: no room"})

    usage = ended(tmp_path, None, 2, f"x\n{plain}; see --help\n")
    other = ended(tmp_path, None, 4, f"{as_json}\n")

    assert usage.reason == Reason.BAD_INPUT
    assert usage.message == f"it ended with 2 and left no report: {plain}; see --help"
    assert other.message.endswith("no report: stepkit execute-notebook: error: no room")


def test_a_child_that_cannot_be_started_is_a_failed_notebook(tmp_path: Path) -> None:
    many = Planned(name="a", path=Path("x" * 200_000))
    stop, kill = threading.Event(), threading.Event()
    places = Places(directory=tmp_path, reports=tmp_path)

    run = batch_child.Run(
        places=places,
        gpu=GpuOptions(),
        retry=RetryOptions(),
        rules=RulesOptions(),
        page=False,
        log_output=False,
        stop=stop,
        kill=kill,
    ).execute(many)

    assert (run.status, run.exit_code, run.reason) == ("failed", 2, "bad-input")
    assert "Argument list too long" in run.message


@pytest.mark.parametrize(
    ("line", "level", "shown"),
    [
        ('{"severity": "ERROR", "body": "a\\nb"}', logging.ERROR, ["n | a", "n | b"]),
        ('{"severity": "odd", "body": 1}', logging.INFO, ["n | 1"]),
        ('{"severity": [], "body": 1}', logging.INFO, ['n | {"severity": [], "body": 1}']),
        ('{"body": 1}', logging.INFO, ['n | {"body": 1}']),
        ("{" * 100_000, logging.INFO, ["n | " + "{" * 100_000]),
        ('{"a":' * 50_000, logging.INFO, ["n | " + '{"a":' * 50_000]),
        ("Traceback: x=1", logging.INFO, ["n | Traceback: x=1"]),
        ("cells-run=1", logging.DEBUG, ["n | cells-run=1"]),
        ("", logging.INFO, []),
    ],
)
def test_any_line_of_a_child_is_relayed(
    caplog: pytest.LogCaptureFixture, line: str, level: int, shown: list[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        stepkit_process._relay("n", line)

    assert [record.getMessage() for record in caplog.records] == shown
    assert {record.levelno for record in caplog.records} <= {level}
