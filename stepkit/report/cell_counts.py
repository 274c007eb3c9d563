"""How many cells of a notebook ended how, in words."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stepkit.report.run_json_notebook import NotebookJson

_WORDS: Final = {
    "ok": "ok",
    "expected-error": "ok",
    "tolerated": "tolerated",
    "error": "failed",
    "stopped": "stopped",
    "not-run": "not run",
    "skipped": "left out",
}
_ORDER: Final = tuple(dict.fromkeys(_WORDS.values()))
_BAD: Final = {"error", "stopped", "not-run"}


def cell_counts(notebook: NotebookJson, *, noun: bool = True) -> str:
    """Return ``3 cells ok, 1 failed, 1 not run``; ``5 of 5 cells ran`` where each ended well.

    It is ``""`` where the counts are unknown. Without ``noun`` the word *cells* is left out.
    """
    ran, total = notebook["cells_run"], notebook["cells_total"]
    statuses = [cell["status"] for cell in notebook["cells"]]
    if _BAD.isdisjoint(statuses) or len(statuses) < (total or 0):
        cells = (" cell" if total == 1 else " cells") if noun else ""
        return "" if ran is None or total is None else f"{ran} of {total}{cells} ran"
    counts = Counter(_WORDS[status] for status in statuses)
    (word, count), *rest = ((word, counts[word]) for word in _ORDER if counts[word])
    cells = (" cell" if count == 1 else " cells") if noun else ""
    return ", ".join([f"{count}{cells} {word}", *(f"{count} {word}" for word, count in rest)])
