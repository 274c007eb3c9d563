"""Steps at the end of a run read the reports while those of the others are not finished."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from stepkit import steps
from stepkit.report import read_step_reports

if TYPE_CHECKING:
    from pathlib import Path

    from stepkit.report.run_record import Run


def write(directory: Path, step: str, **values: object) -> None:
    usual = {"schema": "stepkit.report/1", "step": step, "status": "succeeded", "reason": "ok",
             "message": "", "exit_code": 0, "started": "2026-11-22T08:00:00+00:00",
             "seconds": 1.0}  # fmt: skip
    (directory / f"{step}.json").write_text(json.dumps({**usual, **values}))


def load(directory: Path, expected: str) -> Run:
    return read_step_reports.load(
        directory, steps.in_report, expected=(expected,), statuses={}, title="Run"
    )


@pytest.mark.parametrize("step", ["summarize", "publish-artifacts", "notify"])
def test_the_unfinished_report_of_a_last_step_decides_nothing(tmp_path: Path, step: str) -> None:
    write(tmp_path, "git-clone")
    write(tmp_path, step, status="failed", reason="killed", exit_code=None)

    run = load(tmp_path, "git-clone")

    assert run.verdict == "passed"
    assert [entry.name for entry in run.entries] == ["git-clone"]


def test_a_last_step_that_belongs_to_the_run_counts(tmp_path: Path) -> None:
    write(tmp_path, "publish-artifacts", status="failed", reason="network", exit_code=4)

    run = load(tmp_path, "publish-artifacts")

    assert run.verdict == "failed"
