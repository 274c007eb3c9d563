"""What rules changed, as files that people can read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepkit.notebook import ipynb
from stepkit.rules.notebook_diff import diff
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from pathlib import Path

    from stepkit.rules.apply_rules import Patched


def write(original: Any, patched: Patched, name: str, *, beside: Path) -> tuple[Path, Path] | None:
    """Write the changed notebook and the difference ``beside`` it; None if nothing changed.

    Raises :class:`~stepkit.errors.StepError` when they cannot be written.
    """
    if not any(change.applied for change in patched.changes):
        return None
    changed = beside.with_name(f"{beside.stem}.patched.ipynb")
    difference = beside.with_name(f"{beside.stem}.patched.diff")
    ipynb.write(patched.notebook, changed)
    atomic_files.write_atomically(difference, diff(original, patched.notebook, name))
    return changed, difference
