"""Make the record of a run, what run.json holds, from the reports of its steps alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.report import gpu_use, unchecked_values
from stepkit.report.record_artifacts import record_artifacts
from stepkit.report.record_checkouts import Checkouts, record_repositories
from stepkit.report.record_error import record_error
from stepkit.report.record_inputs import record_datasets, record_environment
from stepkit.report.record_notebooks import pages_by_notebook, record_notebook, sources
from stepkit.report.record_tests import first_failure, record_tests
from stepkit.report.run_clock import RunClock, length
from stepkit.report.run_json import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from stepkit.report.record_notebooks import Source
    from stepkit.report.run_json import (
        CauseJson,
        EarlierJson,
        IdentityJson,
        RunJson,
        StepJson,
        StepStatus,
        TestsJson,
    )
    from stepkit.report.run_json_notebook import NotebookJson
    from stepkit.report.run_paths import RunPaths
    from stepkit.report.steps_of_run import Entry, Run

    CommandLine = Callable[[str, Mapping[str, Any]], list[str]]  # of a step with options

_STATUSES: Final[Mapping[str, StepStatus]] = {
    "succeeded": "succeeded",
    "tolerated": "tolerated",
    "flaky": "flaky",
    "failed": "failed",
    "cancelled": "cancelled",
    "not run": "not-run",
    "not asked for": "not-asked-for",
    "reused": "reused",
}
_FAILED_CELLS: Final = ("error", "stopped")


def record_run(
    run: Run, paths: RunPaths, *, identity: IdentityJson, command_line: CommandLine
) -> RunJson:
    """Return the record of ``run``.

    ``command_line`` returns the command that runs a step again with its options.
    """
    clock = RunClock.of(run)
    found = sources(run)
    pages = pages_by_notebook(run, paths)
    checkouts = Checkouts.of(run, paths)
    notebooks = [record_notebook(source, clock, paths, pages, checkouts) for source in found]
    tests = [record_tests(entry, paths) for entry in run.of_section("tests")]
    return {
        "schema": SCHEMA,
        "title": unchecked_values.line(run.title),
        "identity": identity,
        "started": clock.started,
        "duration_ms": clock.end(run),
        "verdict": run.verdict,
        "headline": run.headline,
        "tolerated": run.tolerated,
        "cause": _cause(run, found, notebooks, tests),
        "not_run": [unchecked_values.line(name) for name in run.not_run],
        "repositories": record_repositories(run),
        "steps": [_step(entry, clock, paths, command_line) for entry in run.steps],
        "notebooks": notebooks,
        "tests": tests,
        "datasets": record_datasets(run, paths),
        "environment": record_environment(run, notebooks),
        **gpu_use.of_run(notebooks),
        "artifacts": record_artifacts(run, paths, notebooks, tests),
        "versions": _versions(run),
        "published": _published(run),
        "comparison": None,
        "left_out": {},
    }


def _step(entry: Entry, clock: RunClock, paths: RunPaths, command_line: CommandLine) -> StepJson:
    command, options = entry.data.get("step", ""), entry.data.get("options")
    again = command_line(command, options) if isinstance(options, dict) else ()
    return {
        "name": unchecked_values.line(entry.name),
        "command": unchecked_values.line(command),
        "status": _STATUSES[entry.status],
        "reason": unchecked_values.line(entry.reason),
        "message": unchecked_values.line(entry.message),
        "exit_code": unchecked_values.whole(entry.exit_code),
        "start_ms": clock.at(entry.started),
        "duration_ms": length(entry),
        "report": paths.report(entry),
        "unfinished": entry.unfinished,
        "headline": entry.in_report.headline,
        "row_alone": entry.row_alone,
        "earlier": _earlier(entry),
        "reused_from": unchecked_values.line(entry.reused["run"]) if entry.reused else None,
        "again": [unchecked_values.text(word) for word in again],
        "error": record_error(entry.data.get("error")),
    }


def _earlier(entry: Entry) -> EarlierJson | None:
    found = entry.earlier
    if found is None:
        return None
    return {
        "runs": found["runs"],
        "started": unchecked_values.line(found["started"]),
        "status": unchecked_values.line(found["status"]),
        "reason": unchecked_values.line(found["reason"]),
        "ended": found["ended"],
    }


def _cause(
    run: Run,
    found: Sequence[Source],
    notebooks: Sequence[NotebookJson],
    tests: Sequence[TestsJson],
) -> CauseJson | None:
    entry = run.cause
    if entry is None:
        return None
    bad = ("failed", "cancelled")
    notebook = next(
        (
            place
            for place, source in enumerate(found)
            if entry.name in {source.step, source.entry.name} and notebooks[place]["status"] in bad
        ),
        None,
    )
    cells = notebooks[notebook]["cells"] if notebook is not None else []
    cell = next((n for n, c in enumerate(cells) if c["status"] in _FAILED_CELLS), None)
    suite = next((suite for suite in tests if suite["step"] == entry.name), None)
    return {
        "step": unchecked_values.line(entry.name),
        "status": _STATUSES[entry.status],
        "reason": unchecked_values.line(entry.reason),
        "exit_code": unchecked_values.whole(entry.exit_code),
        "message": unchecked_values.line(entry.message),
        "notebook": notebook,
        "cell": cell,
        "error": (cells[cell]["error"] if cell is not None else None)
        or record_error(entry.data.get("error"))
        or (first_failure(suite) if suite else None),
    }


def _versions(run: Run) -> dict[str, str]:
    versions: dict[str, str] = {}
    for entry in run.entries:
        versions |= unchecked_values.versions(entry.data.get("versions"))
    return versions


def _published(run: Run) -> str | None:
    """Return where the artifacts are to be found, if they were published before this record."""
    for entry in run.of_section("published"):
        if found := entry.output("url") or entry.output("location"):
            return unchecked_values.line(found)
    return None
