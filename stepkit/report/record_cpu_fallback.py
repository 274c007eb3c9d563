"""What a cell or a notebook ran on the CPU, as run.json holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypedDict

from stepkit.report import unchecked_values

if TYPE_CHECKING:
    from stepkit.report.run_json_notebook import CpuFallbackJson

_MOST: Final = 5  # functions
_MOST_TEXT: Final = 300  # characters


class FallbackFields(TypedDict):
    """Two fields of a cell or a notebook, None where nothing was counted."""

    cpu_fallback: float | None
    cpu_fallback_calls: CpuFallbackJson | None


def record_cpu_fallback(found: Any) -> FallbackFields:
    """Return the fields for what the report of a step says of the calls that it counted."""
    found = found if isinstance(found, dict) else {}
    calls = unchecked_values.whole(found.get("calls"))
    on_cpu = unchecked_values.whole(found.get("cpu_calls"))
    if not calls or on_cpu is None or not 0 <= on_cpu <= calls:
        return {"cpu_fallback": None, "cpu_fallback_calls": None}
    return {
        "cpu_fallback": round(on_cpu / calls, 6),
        "cpu_fallback_calls": {
            "calls": calls,
            "cpu_calls": on_cpu,
            "out_of_memory": unchecked_values.whole(found.get("out_of_memory")) or 0,
            "duration_ms": unchecked_values.duration(found.get("seconds")) or 0,
            "cpu_ms": unchecked_values.duration(found.get("cpu_seconds")) or 0,
            "functions": [
                {
                    "name": unchecked_values.line(each.get("name"))[:_MOST_TEXT],
                    "calls": unchecked_values.whole(each.get("calls")) or 0,
                    "duration_ms": unchecked_values.duration(each.get("seconds")) or 0,
                    "why": unchecked_values.line(each.get("why"))[:_MOST_TEXT],
                }
                for each in unchecked_values.objects(found.get("functions"))[:_MOST]
            ],
        },
    }
