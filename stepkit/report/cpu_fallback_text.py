"""What ran on the CPU, in words and in the order in which a reader wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepkit.formats import fallback_text

if TYPE_CHECKING:
    from stepkit.report.run_json_notebook import CellJson, NotebookJson


def spelled(place: CellJson | NotebookJson) -> str:
    """Return ``61 % of calls on the CPU: DataFrame.apply``, ``""`` where nothing was counted."""
    share, calls = place["cpu_fallback"], place["cpu_fallback_calls"]
    if share is None or calls is None:
        return ""
    return fallback_text.describe(share, names(place), calls["out_of_memory"])


def names(place: CellJson | NotebookJson) -> list[str]:
    """Return the functions that ran on the CPU, the one that took longest first."""
    calls = place["cpu_fallback_calls"]
    return [function["name"] for function in calls["functions"]] if calls else []


def cells_on_cpu(notebook: NotebookJson) -> list[CellJson]:
    """Return the cells that ran anything on the CPU, the one that spent most time there first."""
    return sorted((c for c in notebook["cells"] if c["cpu_fallback"]), key=_on_cpu, reverse=True)


def _on_cpu(cell: CellJson) -> int:
    return cell["cpu_fallback_calls"]["cpu_ms"] if cell["cpu_fallback_calls"] else 0
