"""What shows why a task failed: the evidence in the report that its step wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stepkit import steps
from stepkit.formats import evidence_text
from stepkit.report import read_step_reports
from stepkit.report.record_error import record_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.errors import Evidence, Place


def find(
    argv: Sequence[str], exit_code: int, directory: Path | None
) -> tuple[Evidence | None, Place | None]:
    """Return evidence and place in the report of the command ``argv``, None where it has none.

    A report with another exit code is that of an earlier run. Relative paths begin at
    ``directory``.
    """
    path = report_of(argv)
    if path is None:
        return None, None
    entry = read_step_reports.read((directory or Path()) / path, steps.in_report)
    if entry.exit_code != exit_code:
        return None, None
    error = record_error(entry.data.get("error"))
    place = evidence_text.place_of_json(entry.data.get("place"))
    return evidence_text.of_json(error) if error else None, place


def report_of(argv: Sequence[str]) -> Path | None:
    """Return the file that a command line names with --report, None if it names none."""
    for place, part in enumerate(argv):
        flag, equals, value = part.partition("=")
        if flag == "--report":
            value = value if equals else next(iter(argv[place + 1 :]), "")
            return Path(value) if value else None
    return None
