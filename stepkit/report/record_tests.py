"""The tests of a run as run.json holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from stepkit.report import unchecked_values

if TYPE_CHECKING:
    from stepkit.report.run_json import TestJson, TestsJson
    from stepkit.report.run_json_notebook import ErrorJson
    from stepkit.report.run_paths import RunPaths
    from stepkit.report.steps_of_run import Entry

Status = Literal["passed", "failed", "error", "skipped"]

_SLOWEST: Final = 10
_STATUSES: Final[tuple[Status, ...]] = ("passed", "failed", "error", "skipped")


def record_tests(entry: Entry, paths: RunPaths) -> TestsJson:
    """Return one run of a test suite."""
    return {
        "step": unchecked_values.line(entry.name),
        "message": unchecked_values.line(entry.message),
        "total": unchecked_values.whole(entry.output("total")),
        "passed": unchecked_values.whole(entry.output("passed")),
        "failed": unchecked_values.whole(entry.output("failed")),
        "errors": unchecked_values.whole(entry.output("errors")),
        "skipped": unchecked_values.whole(entry.output("skipped")),
        "allowed": unchecked_values.whole(entry.output("allowed")),
        "coverage": unchecked_values.number(entry.output("coverage")),
        "installer": unchecked_values.line(entry.output("installer")),
        "installer_reason": unchecked_values.line(entry.output("installer-reason")),
        "failures": _cases(entry, "failures", "failed"),
        "slowest": _cases(entry, "slowest", "passed")[:_SLOWEST],
        "skips": _cases(entry, "skips", "skipped"),
        "report": paths.shown(entry.output("html-report")),
        "junit": paths.shown(entry.output("junit")),
        "log": paths.shown(entry.output("log")),
    }


def first_failure(tests: TestsJson) -> ErrorJson | None:
    """Return the evidence of the first failure that was not allowed, None without one."""
    failed = next((case for case in tests["failures"] if not case["allowed"]), None)
    if failed is None:
        return None
    return {
        "ename": "",
        "evalue": failed["message"],
        "source": "",
        "line": None,
        "traceback": failed["text"],
        "left_out": 0,
        "output": [],
        "stack": "",
    }


def _cases(entry: Entry, output: str, status: Status) -> list[TestJson]:
    """Return the test cases of an output; ``status`` is that of a case that does not say it."""
    return [_case(case, status) for case in unchecked_values.objects(entry.output(output))]


def _case(case: dict[str, Any], status: Status) -> TestJson:
    own = case.get("status")
    return {
        "name": unchecked_values.line(case.get("name")),
        "status": own if own in _STATUSES else status,
        "duration_ms": unchecked_values.duration(case.get("seconds")),
        "message": unchecked_values.text(case.get("message")),
        "text": unchecked_values.text(case.get("text")),
        "allowed": case.get("allowed") is True,
        "reason": unchecked_values.line(case.get("reason")),
    }
