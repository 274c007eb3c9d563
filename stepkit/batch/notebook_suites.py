"""The notebooks of a batch as suites of test cases, from the report of each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from stepkit.notebook import cells_junit
from stepkit.notebook.cells_junit import Suite
from stepkit.report import read_step_reports
from stepkit.step import InReport

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepkit.batch.planned_notebook import NotebookRun

_NOTEBOOK: Final = InReport(section="notebook", saves="output")


def of_batch(runs: Sequence[NotebookRun], ended: Suite) -> list[Suite]:
    """Return a suite for each notebook, and ``ended`` where none says why the batch failed."""
    suites = list(_suites(runs))
    if ended.exit_code and not any(run.status in {"failed", "cancelled"} for run in runs):
        suites.append(ended)
    return suites


def _suites(runs: Sequence[NotebookRun]) -> Iterator[Suite]:
    for run in runs:
        if run.status in {"skipped", "not-run"}:
            until = f" (until {run.until})" if run.until else ""
            why = f"{run.status.replace('-', ' ')}: {run.message}{until}"
            yield Suite(notebook=str(run.path), did_not_run=why)
            continue
        suite = Suite(
            notebook=str(run.path),
            reason=run.reason,
            message=run.message,
            exit_code=run.exit_code,
            seconds=run.seconds,
        )
        if run.report is None:
            yield suite
            continue
        entry = read_step_reports.read(run.report, lambda _: _NOTEBOOK)
        outputs = entry.data.get("outputs", {})
        yield cells_junit.with_outputs(replace(suite, started=entry.started), outputs)
