"""Show what rules changed: a unified diff of the cells' sources, and two files with it."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from stepkit.notebook import cell_numbers, ipynb
from stepkit.rules.selectors import code_cells
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stepkit.rules.apply_rules import Patched


def write(original: Any, patched: Patched, name: str, *, beside: Path) -> tuple[Path, Path] | None:
    """Write the changed notebook and the diff ``beside`` it; return None if nothing changed.

    Raises :class:`~stepkit.errors.StepError` when they cannot be written.
    """
    if not any(change.applied for change in patched.changes):
        return None
    changed = beside.with_name(f"{beside.stem}.patched.ipynb")
    difference = beside.with_name(f"{beside.stem}.patched.diff")
    ipynb.write(patched.notebook, changed)
    atomic_files.write_atomically(difference, diff(original, patched.notebook, name))
    return changed, difference


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
        if cell_numbers.INJECTED_BY_RULE in cell_numbers.tags(cell) and cell.get("id") not in own:
            source = cell.source.split("\n")
            lines += [
                "--- /dev/null",
                f"+++ {name}, injected cell (id {cell.get('id')})",
                f"@@ -0,0 +1,{len(source)} @@",
                *(f"+{line}" for line in source),
            ]
            continue
        position, before = next(originals)
        if cell.cell_type == "code":
            heading = f"{name}, {labels[position]} (id {cell.get('id')})"
            lines += _diff_cell(before, cell, heading)
    return "".join(f"{line}\n" for line in lines)


def _diff_cell(before: Any, after: Any, heading: str) -> Iterator[str]:
    """Yield the diff of one cell; a cell that is only skipped is shown whole."""
    old, new = before.source.split("\n"), after.source.split("\n")
    tag = cell_numbers.SKIP_TAG
    skipped = tag in cell_numbers.tags(after) and tag not in cell_numbers.tags(before)
    if old != new:
        yield from difflib.unified_diff(
            old, new, heading, f"{heading}{', skipped' if skipped else ''}", lineterm=""
        )
    elif skipped:
        yield f"--- {heading}"
        yield f"+++ {heading}, skipped: source unchanged, tagged {tag}"
        yield f"@@ -1,{len(old)} +1,{len(new)} @@"
        yield from (f" {line}" for line in new)
