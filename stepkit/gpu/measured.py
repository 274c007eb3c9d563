"""What the metrics of one run of a notebook are."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from stepkit.gpu import prometheus

if TYPE_CHECKING:
    from pathlib import Path

    from stepkit.errors import StepError
    from stepkit.gpu.summary import Summary
    from stepkit.verdict import Execution


def write(
    path: Path,
    notebook: str,
    execution: Execution,
    error: StepError | None,
    summary: Summary | None,
) -> None:
    """Write the metrics of ``notebook``'s run; ``error`` is the verdict if it is a bad one.

    Raises :class:`~stepkit.errors.StepError` when the file cannot be written.
    """
    status, exit_code = "tolerated" if execution.tolerated else "succeeded", 0
    if error:
        status, exit_code = "failed", error.exit_code
    if execution.cancelled_by:
        status, exit_code = "cancelled", 128 + execution.cancelled_by
    prometheus.write(
        path,
        summary=summary,
        labels={"notebook": notebook},
        status=status,
        exit_code=exit_code,
        seconds=round(time.monotonic() - execution.started, 3),
        cells=Counter(cell.status for cell in execution.cells if cell.number),
        finished=time.time(),
    )
