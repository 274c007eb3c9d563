"""Rules for notebooks that one does not own: changes, tolerated errors, variants.

:func:`load` reads a rules file, :func:`apply` makes a changed copy of a notebook, :func:`diff`
shows what changed, and :func:`write` leaves both beside the output. The notebook itself is never
touched.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from stepkit.rules.working_copy import Change

if TYPE_CHECKING:
    from stepkit.rules.apply_rules import Patched, apply
    from stepkit.rules.notebook_diff import diff, write
    from stepkit.rules.rule import EMPTY, Book, Tolerance
    from stepkit.rules.rules_file import load
    from stepkit.rules.tolerances import Tolerances, tolerance
    from stepkit.rules.validate import SCHEMA

# Imported when they are used: a command that changes nothing starts without them.
_LATER: Final = {
    "EMPTY": "rule",
    "SCHEMA": "validate",
    "Book": "rule",
    "Patched": "apply_rules",
    "Tolerance": "rule",
    "Tolerances": "tolerances",
    "apply": "apply_rules",
    "diff": "notebook_diff",
    "load": "rules_file",
    "tolerance": "tolerances",
    "write": "notebook_diff",
}

__all__ = [
    "EMPTY",
    "SCHEMA",
    "Book",
    "Change",
    "Patched",
    "Tolerance",
    "Tolerances",
    "apply",
    "diff",
    "load",
    "tolerance",
    "write",
]


def __getattr__(name: str) -> Any:
    """Import what :data:`_LATER` names."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = value  # the modules apply and load would hide what they are named after
    return value
