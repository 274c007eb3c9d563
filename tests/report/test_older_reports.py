"""Reports of other versions of stepkit in the report of a run."""

from pathlib import Path
from typing import Any

import pytest
from step_reports import load, summary, write_report

OLD = {"number": 2, "index": 3, "id": "c", "seconds": 1.0, "status": "error",
       "first_line": "def deep(x):", "ename": "KeyError", "evalue": "'pca'"}  # fmt: skip


def write(directory: Path, version: int, *cells: dict[str, Any], **values: Any) -> None:
    outputs = {"cells-run": 1, "cells-total": 4, "cells": list(cells)}
    schema = f"stepkit.report/{version}"
    write_report(directory, "execute-notebook", schema=schema, outputs=outputs, **values)


def test_the_cells_of_version_1_are_read_as_if_they_were_written_today(tmp_path: Path) -> None:
    fine = {**OLD, "number": 0, "id": "stepkit-injected-1", "status": "ok", "ename": ""}
    parameters = {**fine, "id": "4c6d"}
    write(tmp_path, 1, OLD, fine, parameters, status="failed", reason="cell-error", exit_code=3)

    (step,) = load(tmp_path).entries
    cells = step.output("cells")

    assert [cell["title"] for cell in cells] == ["def deep(x):"] * 3
    assert [cell["injected"] for cell in cells] == ["", "rule", "parameters"]
    assert [cell["error"] for cell in cells] == [
        {"ename": "KeyError", "evalue": "'pca'"}, None, None,
    ]  # fmt: skip
    assert not {"first_line", "ename", "evalue"} & cells[0].keys()
    assert "Cell 2 (`def deep(x):`) raised **KeyError: 'pca'**\n" in summary(tmp_path)


@pytest.mark.parametrize(
    ("text", "percent"), [("96.5 %", 96.5), ("100%", 100.0), ("n/a", None), ("unknown", None)]
)
def test_the_coverage_of_version_1_is_a_number(
    tmp_path: Path, text: str, percent: float | None
) -> None:
    outputs = {"total": 1, "passed": 1, "coverage": text}
    write_report(tmp_path, "run-tests", schema="stepkit.report/1", outputs=outputs)

    (step,) = load(tmp_path).entries

    assert (step.status, step.output("coverage")) == ("succeeded", percent)


def test_a_cell_of_version_1_without_its_fields_is_refused(tmp_path: Path) -> None:
    write(tmp_path, 1, {"number": 1, "first_line": "x", "seconds": None, "status": "ok"})

    (step,) = load(tmp_path).entries

    assert (step.status, step.reason) == ("failed", "bad-input")
    assert step.message == (
        "its report execute-notebook.json cannot be read: outputs.cells[0] needs title and "
        "injected and error"
    )


def test_of_a_newer_report_the_verdict_is_shown_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, 3, {"number": "two"}, message="3 of 4 cells ran")

    run = load(tmp_path)
    (step,) = run.entries

    assert run.verdict == "passed"
    assert step.output("cells") is None
    assert step.message == (
        "3 of 4 cells ran; of its report only this row is shown: stepkit.report/3 is newer than "
        "this stepkit"
    )
    assert "stepkit.report/3 is newer" in summary(tmp_path)


def test_a_newer_report_that_failed_fails_the_run(tmp_path: Path) -> None:
    write(tmp_path, 12, status="failed", reason="cell-error", exit_code=3)

    assert load(tmp_path).verdict == "failed"
