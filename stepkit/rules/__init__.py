"""Rules for notebooks that one does not own: changes, tolerated errors, variants.

:func:`load` reads a rules file, :func:`apply` makes a changed copy of a notebook, :func:`diff`
shows what changed, and :func:`write` leaves both beside the output. The notebook itself is never
touched.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from stepkit.rules.change import Change

if TYPE_CHECKING:
    from stepkit.rules.applying import Patched, apply
    from stepkit.rules.artifacts import write
    from stepkit.rules.differences import diff
    from stepkit.rules.loading import load
    from stepkit.rules.model import EMPTY, Book, Tolerance
    from stepkit.rules.shape import SCHEMA
    from stepkit.rules.tolerances import Tolerances, tolerance

# Imported when they are used: a command that changes nothing starts without them.
_LATER: Final = {
    "EMPTY": "model",
    "SCHEMA": "shape",
    "Book": "model",
    "Patched": "applying",
    "Tolerance": "model",
    "Tolerances": "tolerances",
    "apply": "applying",
    "diff": "differences",
    "load": "loading",
    "tolerance": "tolerances",
    "write": "artifacts",
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
