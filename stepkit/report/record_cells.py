"""The cells of a notebook as run.json holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from stepkit.report import gpu_use, unchecked_values
from stepkit.report.record_cpu_fallback import record_cpu_fallback
from stepkit.report.record_error import record_error
from stepkit.report.run_json_notebook import CellStatus

if TYPE_CHECKING:
    from stepkit.report.run_clock import RunClock
    from stepkit.report.run_json_notebook import CellJson
    from stepkit.report.steps_of_run import Entry

_STATUSES: Final = frozenset(get_args(CellStatus))
_MOST_TITLE: Final = 200  # characters


def record_cells(entry: Entry, clock: RunClock) -> list[CellJson]:
    """Return the cells in the report of a notebook, on the run's clock."""
    zero, gpus = clock.at(entry.output("zero")), gpu_use.devices(entry.output("gpu"))
    return [
        _cell(cell, place, zero, len(gpus))
        for place, cell in enumerate(entry.output("cells") or ())
    ]


def _cell(cell: dict[str, Any], place: int, zero: int | None, gpus: int) -> CellJson:
    began = unchecked_values.milliseconds(cell.get("began"))
    index = unchecked_values.whole(cell.get("index"))
    duration = unchecked_values.duration(cell["seconds"])
    status: CellStatus = cell["status"] if cell["status"] in _STATUSES else "error"
    return {
        "number": unchecked_values.whole(cell["number"]) or 0,
        "index": place if index is None else index,
        "id": unchecked_values.line(cell.get("id")),
        "title": unchecked_values.line(cell["title"])[:_MOST_TITLE],
        "injected": _injected(cell),
        "status": status,
        "start_ms": None if zero is None or began is None else zero + began,
        "duration_ms": duration,
        "gpu_peak": unchecked_values.whole(cell.get("gpu_peak")),
        "gpu_change": unchecked_values.whole(cell.get("gpu_change")),
        "rss_peak": unchecked_values.whole(cell.get("rss_peak")),
        "energy": unchecked_values.number(cell.get("energy")),
        "gpu_hours": gpu_use.hours(gpus, duration),
        "gpu_idle": unchecked_values.number(cell.get("gpu_idle")),
        **record_cpu_fallback(cell.get("cpu_fallback")),
        "tolerance": unchecked_values.line(cell.get("tolerance")),
        "error": record_error(cell["error"]),
    }


def _injected(cell: dict[str, Any]) -> Literal["", "parameters", "rule"]:
    found = cell.get("injected")
    return found if found in {"parameters", "rule"} else ""
