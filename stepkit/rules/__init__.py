"""Rules for notebooks that one does not own: changes, tolerated errors, variants.

:func:`load` reads a rules file, :func:`apply` makes a changed copy of a notebook, and
:func:`diff` shows what changed. The notebook itself is never touched.
"""

from stepkit.rules.apply import Patched, apply
from stepkit.rules.artifacts import write
from stepkit.rules.differences import diff
from stepkit.rules.load import load
from stepkit.rules.model import EMPTY, Book, Change, Tolerance
from stepkit.rules.shape import SCHEMA
from stepkit.rules.tolerances import Tolerances, tolerance

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
