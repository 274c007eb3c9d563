import json
from pathlib import Path

from junit_files import cases, suites

from stepkit.batch import notebook_suites
from stepkit.batch.planned_notebook import NotebookRun, Status
from stepkit.errors import Reason
from stepkit.notebook import cells_junit
from stepkit.notebook.cells_junit import Suite
from stepkit.notebook.verdict import CellRun

PASSED = Suite(notebook="plan.yaml", message="1 of 1 notebooks passed")
CELL = {
    "number": 1, "index": 0, "id": "a", "title": "x", "injected": "", "status": "ok",
    "began": 0.1, "seconds": 1.5, "gpu_peak": None, "gpu_change": None, "rss_peak": None,
    "energy": None, "gpu_idle": None, "cpu_fallback": None, "tolerance": "", "error": None,
}  # fmt: skip


def run(status: Status, report: Path | None = None, *, exit_code: int | None = 0) -> NotebookRun:
    return NotebookRun(
        name="a",
        path=Path("source/a.ipynb"),
        status=status,
        reason=Reason.ARTIFACT_MISSING if exit_code else Reason.OK,
        message="said",
        exit_code=exit_code,
        report=report,
    )


def write_report(path: Path) -> Path:
    report = {
        "schema": "stepkit.report/2", "step": "execute-notebook", "status": "succeeded",
        "reason": "ok", "message": "1 of 1 cells ran", "exit_code": 0, "seconds": 2.0,
        "started": "2026-11-30T12:00:00.000+00:00",
        "outputs": {"cells": [CELL], "cells-total": 1, "cells-run": 1},
    }  # fmt: skip
    path.write_text(json.dumps(report))
    return path


def test_the_report_here_has_the_cells_as_a_run_writes_them() -> None:
    assert CELL.keys() == set(CellRun.__dataclass_fields__)


def test_cells_come_from_the_report_and_the_verdict_from_the_batch(tmp_path: Path) -> None:
    report = write_report(tmp_path / "a.json")

    found = notebook_suites.of_batch(
        [run("passed", report), run("failed", report, exit_code=3)], PASSED
    )

    one, two = suites(cells_junit.render(found))
    assert cases(one) == [("cell 1: x", "", "")]
    assert one.timestamp == "2026-11-30T12:00:00.000+00:00"
    assert cases(two) == [("cell 1: x", "", ""), ("the whole run", "failure", "said")]


def test_a_notebook_without_a_report_that_can_be_read_is_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "a.json"
    broken.write_text("{")
    runs = [run("failed", None, exit_code=-9), run("failed", broken, exit_code=4)]

    found = notebook_suites.of_batch(runs, PASSED)

    for suite in suites(cells_junit.render(found)):
        assert cases(suite) == [("the whole run", "error", "said")]


def test_a_batch_that_fails_without_a_failed_notebook_says_why() -> None:
    ended = Suite(notebook="plan.yaml", reason="bad-input", message="all skipped", exit_code=2)

    found = notebook_suites.of_batch([run("skipped")], ended)

    one, two = suites(cells_junit.render(found))
    assert cases(one) == [("the whole run", "skipped", "skipped: said")]
    assert (two.name, cases(two)) == ("plan.yaml", [("the whole run", "error", "all skipped")])
