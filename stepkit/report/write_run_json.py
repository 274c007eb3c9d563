"""Write run.json: the record of a run, for every summary, report and comparison of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from stepkit.system import atomic_files

if TYPE_CHECKING:
    from pathlib import Path

    from stepkit.report.run_json import RunJson


def write_run_json(path: Path, record: RunJson) -> None:
    """Write ``record``. Raises :class:`~stepkit.errors.StepError` when it cannot be written."""
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    atomic_files.write_atomically(path, text + "\n")
