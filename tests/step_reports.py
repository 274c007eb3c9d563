"""Reports of steps as files, and the run that they make up."""

import json
from pathlib import Path
from typing import Any

from stepkit import steps
from stepkit.report import read_step_reports
from stepkit.report.steps_of_run import Run
from stepkit.steps import summarize


def write_report(directory: Path, name: str, **values: Any) -> None:
    """Write ``NAME.json`` of a step of that name that succeeded, changed by ``values``."""
    usual: dict[str, Any] = {
        "schema": "stepkit.report/2", "step": name, "status": "succeeded", "reason": "ok",
        "message": "", "exit_code": 0, "started": "2026-11-22T08:00:00+00:00", "seconds": 1.5,
        "options": {}, "outputs": {}, "artifacts": [], "versions": {"stepkit": "0.1.0"},
    }  # fmt: skip
    directory.mkdir(parents=True, exist_ok=True)
    written = directory / f"{name}.json.new"
    written.write_text(json.dumps({**usual, **values}))
    written.rename(directory / f"{name}.json")  # as a step does: a reader finds all or nothing


def load(directory: Path, *expected: str) -> Run:
    """Read the reports of a run named Run."""
    return read_step_reports.load(
        directory, steps.in_report, expected=expected, statuses={}, title="Run"
    )


def summary(directory: Path, *expected: str, title: str = "Run") -> str:
    """Return STEP_SUMMARY.md of the reports, which summarize writes in ``directory``/out."""
    page = directory / "out/STEP_SUMMARY.md"
    options = summarize.Options(reports=directory, summary=page, expect=expected, title=title)
    summarize.run(options)
    return page.read_text()
