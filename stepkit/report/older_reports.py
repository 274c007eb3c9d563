"""Reports of other versions: older ones are read as if they were written today."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

OLDEST: Final = "stepkit.report/1"
_NEWEST: Final = 2  # the number in cli.step_report.SCHEMA
_INJECTED_BY_RULE: Final = "stepkit-injected-"  # how the id of such a cell begins


def is_newer(report: Mapping[str, Any]) -> bool:
    """Return whether a later version wrote ``report``, of which only the verdict is known."""
    version = str(report["schema"]).rpartition("/")[2]
    return not version.isdecimal() or int(version) > _NEWEST


def upgrade(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report of ``stepkit.report/1`` in the shape of today, and another one as it is.

    What does not have the shape of its version is left as it is, for the schemas to refuse.
    """
    outputs = report.get("outputs")
    if report["schema"] != OLDEST or not isinstance(outputs, dict):
        return report
    upgraded = dict(outputs)
    if isinstance(cells := outputs.get("cells"), list):
        upgraded["cells"] = [_cell(cell) if isinstance(cell, dict) else cell for cell in cells]
    if isinstance(coverage := outputs.get("coverage"), str):
        upgraded["coverage"] = _percent(coverage)
    return {**report, "outputs": upgraded}


def _cell(cell: dict[str, Any]) -> dict[str, Any]:
    """Return a cell with a title for its first line, and with its error as evidence."""
    if not {"first_line", "ename", "evalue"} <= cell.keys():
        return cell
    new = {name: value for name, value in cell.items() if name not in {"first_line", "ename"}}
    ename, evalue = cell["ename"], new.pop("evalue")
    injected = "rule" if str(cell.get("id", "")).startswith(_INJECTED_BY_RULE) else "parameters"
    return {
        **new,
        "title": cell["first_line"],
        "injected": "" if cell.get("number") else injected,
        "error": {"ename": ename, "evalue": evalue} if ename else None,
    }


def _percent(text: str) -> float | None:
    """Return the number in ``96.5 %``; None in ``n/a`` and ``unknown``."""
    found = re.fullmatch(r"(\d{1,3}(?:\.\d+)?) ?%", text)
    return float(found[1]) if found else None
