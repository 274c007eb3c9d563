"""The result TEST_OUTPUT, which Konflux reads of a Task that tests something.

Its form is that of Konflux' ADR 30, "Tekton Results Naming Convention": one JSON object with
``result``, ``timestamp`` (RFC 3339), ``namespace``, ``note``, and the numbers of ``successes``,
``failures`` and ``warnings``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from stepkit.errors import Reason, UserCodeError
from stepkit.formats.shorten import shorten
from stepkit.redaction import redact
from stepkit.step import Checks

if TYPE_CHECKING:
    from collections.abc import Collection

    from stepkit.step import StepResult

NAME: Final = "test-output"
_MOST_NOTE: Final = 100  # characters


def spell(result: StepResult, secrets: Collection[str]) -> str:
    """Return the object for ``result``, whose output of that name has the numbers, if it has one.

    A failure is what the step tested and found bad, an error is why it could not test. A flaky
    notebook is a warning, or with --fail-on-flaky a failure, though each of its cells passed in
    the end.
    """
    checks = result.outputs.get(NAME)
    if not isinstance(checks, Checks):
        checks = Checks()
    elif result.reason == Reason.FLAKY:
        checks = replace(checks, failures=max(checks.failures, 1))
    elif "flaky" in {result.status, (result.reused or {}).get("status")}:
        checks = replace(checks, warnings=max(checks.warnings, 1))
    ended = datetime.fromisoformat(result.started) + timedelta(seconds=result.seconds)
    said = " ".join(redact(result.message, secrets).split())
    document = {
        "result": _outcome(result, checks),
        "timestamp": ended.isoformat(timespec="seconds"),
        "note": shorten(f"{result.step}: {said}", _MOST_NOTE),
        "namespace": "default",
        "successes": checks.successes,
        "failures": checks.failures,
        "warnings": checks.warnings,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _outcome(result: StepResult, checks: Checks) -> str:
    if result.exit_code == UserCodeError.exit_code:
        return "FAILURE"
    if result.exit_code != 0:
        return "ERROR"
    if checks == Checks():
        return "SKIPPED"
    return "WARNING" if checks.warnings else "SUCCESS"
