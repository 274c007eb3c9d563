"""The evidence of a failure as run.json holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import MOST_TRACEBACK
from stepkit.report import unchecked_values

if TYPE_CHECKING:
    from stepkit.report.run_json_notebook import ErrorJson

_MOST_OUTPUT: Final = 50  # lines
_MOST_LINE: Final = 2_000  # characters


def record_error(found: Any) -> ErrorJson | None:
    """Return the evidence in a report, None where it says nothing."""
    if not isinstance(found, dict):
        return None
    traceback, output = found.get("traceback"), found.get("output")
    lines = traceback.split("\n") if isinstance(traceback, str) and traceback else []
    kept = [unchecked_values.coloured(line[:_MOST_LINE]) for line in lines[-MOST_TRACEBACK:]]
    printed = output[-_MOST_OUTPUT:] if isinstance(output, list) else ()
    error: ErrorJson = {
        "ename": unchecked_values.line(found.get("ename")),
        "evalue": unchecked_values.text(found.get("evalue")),
        "source": unchecked_values.text(found.get("source")),
        "line": unchecked_values.whole(found.get("line")),
        "traceback": "\n".join(kept),
        "left_out": (unchecked_values.whole(found.get("left_out")) or 0) + len(lines) - len(kept),
        "output": [unchecked_values.text(line, _MOST_LINE) for line in printed],
        "stack": unchecked_values.text(found.get("stack")),
    }
    return error if any(error.values()) else None
