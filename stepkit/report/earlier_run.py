"""What an earlier run of a step left in its report: a Pipeline may run a step twice.

Tekton starts a step again when its pod vanishes with its node, and after a failure when the task
has retries.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from stepkit.report import read_step_reports
from stepkit.step import InReport

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def find(report: Path, step: str) -> Mapping[str, Any] | None:
    """Return the run of ``step`` that wrote ``report``, and how many there were; None without one.

    It is what a report keeps as ``earlier``.
    """
    if not os.path.isfile(report):  # noqa: PTH113 - it never raises
        return None
    entry = read_step_reports.read(report, lambda _: InReport())
    if entry.data.get("step") != step:
        return None
    before = entry.earlier
    return {
        "runs": 1 + (before["runs"] if before else 0),
        "started": entry.started,
        "status": entry.status,
        "reason": entry.reason,
        "ended": not entry.unfinished,
    }


def sentence(step: str, earlier: Mapping[str, Any]) -> str:
    """Say that ``step`` ran more than once, and how the run before ended."""
    return f"{step} ran {earlier['runs'] + 1} times: {ending(earlier)}"


def ending(earlier: Mapping[str, Any]) -> str:
    """Say how the run before ended."""
    how = f"ended: {earlier['status']} ({earlier['reason']})" if earlier["ended"] else "never ended"
    return f"the run that began at {earlier['started']} {how}"
