"""Change notebooks that one does not own by rules: edits, tolerated errors, variants.

:func:`load` reads a rules file, :func:`apply` makes a changed copy of a notebook, and
:func:`write` leaves the copy and a diff beside the output. The notebook itself is never changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from stepkit.rules.apply_rules import Patched, apply
    from stepkit.rules.notebook_diff import write
    from stepkit.rules.rule import EMPTY, Book
    from stepkit.rules.rules_file import load
    from stepkit.rules.tolerances import parse_tolerance

__all__ = [
    "EMPTY",
    "SCHEMA",
    "Book",
    "Change",
    "Patched",
    "apply",
    "load",
    "parse_tolerance",
    "write",
]

SCHEMA: Final = Path(__file__).with_name("rules.schema.json")

# Imported on first use, so that --help and commands without rules start quickly.
_LAZY: Final = {
    "EMPTY": "rule",
    "Book": "rule",
    "Patched": "apply_rules",
    "apply": "apply_rules",
    "load": "rules_file",
    "parse_tolerance": "tolerances",
    "write": "notebook_diff",
}


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a rule did to a cell; with ``applied`` False, what it left undone and why.

    ``cell`` is the cell's number (:mod:`stepkit.notebook.cell_numbers`), 0 for one without.
    """

    rule: str
    cell: int
    id: str
    what: str
    applied: bool = True


def __getattr__(name: str) -> Any:
    """Import what :data:`_LAZY` names."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
