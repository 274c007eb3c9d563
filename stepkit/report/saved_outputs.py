"""The outputs of a step that was killed, from the notebook that it saved while it ran."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepkit.errors import StepError
from stepkit.notebook.saved_cells import read_cells
from stepkit.notebook.verdict import Ending, Execution

if TYPE_CHECKING:
    from stepkit.report.steps_of_run import Entry


def saved_outputs(entry: Entry) -> dict[str, Any]:
    """Return what the file shows of the cells; nothing if ``entry`` began after it was written."""
    try:
        path, started = Path(entry.option(entry.in_report.saves)), entry.started
        cells = read_cells(path, since=datetime.fromisoformat(started))
    except (StepError, TypeError, ValueError):
        return {}
    if not cells:
        return {}
    execution = Execution(cells=cells, ending=Ending.KERNEL_DIED)
    return {
        "notebook": str(path),
        "cells-total": execution.total,
        "cells-run": execution.ran,
        "cells": [asdict(cell) for cell in cells],
    }
