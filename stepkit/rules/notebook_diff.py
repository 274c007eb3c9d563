"""What rules changed, as a text for people: the cells' sources as a unified diff."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from stepkit.rules.selectors import INJECTED_TAG, SKIP_TAG, code_cells

if TYPE_CHECKING:
    from collections.abc import Iterator


def diff(original_nb: Any, patched_nb: Any, name: str) -> str:
    """Return a unified diff of the sources of the changed, skipped and injected cells.

    ``name`` is the notebook's, for the headings. The text is empty when nothing changed.
    """
    labels = {
        cell.position: f"cell {cell.number}" if cell.number else "uncounted cell"
        for cell in code_cells(original_nb)
    }
    originals = iter(enumerate(original_nb.cells))
    own = {cell.get("id") for cell in original_nb.cells}
    lines: list[str] = []
    for cell in patched_nb.cells:
        if INJECTED_TAG in cell.metadata.get("tags", ()) and cell.get("id") not in own:
            lines += _injected(cell, name)
            continue
        position, before = next(originals)
        if cell.cell_type == "code":
            lines += _changed(before, cell, f"{name}, {labels[position]} (id {cell.get('id')})")
    return "".join(f"{line}\n" for line in lines)


def _injected(cell: Any, name: str) -> Iterator[str]:
    source = cell.source.split("\n")
    yield "--- /dev/null"
    yield f"+++ {name}, injected cell (id {cell.get('id')})"
    yield f"@@ -0,0 +1,{len(source)} @@"
    yield from (f"+{line}" for line in source)


def _changed(before: Any, after: Any, heading: str) -> Iterator[str]:
    old, new = before.source.split("\n"), after.source.split("\n")
    skipped = SKIP_TAG in _tags(after) and SKIP_TAG not in _tags(before)
    if old != new:
        yield from difflib.unified_diff(
            old, new, heading, f"{heading}{', skipped' if skipped else ''}", lineterm=""
        )
    elif skipped:
        yield f"--- {heading}"
        yield f"+++ {heading}, skipped: source unchanged, tagged {SKIP_TAG}"
        yield f"@@ -1,{len(old)} +1,{len(new)} @@"
        yield from (f" {line}" for line in new)


def _tags(cell: Any) -> list[str]:
    return list(cell.metadata.get("tags", ()))
