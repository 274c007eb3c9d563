"""What a Linux process may ask for itself, by prctl(2): Python has no call for it."""

from __future__ import annotations

import ctypes
from typing import Final

_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_SET_CHILD_SUBREAPER: Final = 36


def signal_when_parent_dies(signum: int) -> None:
    """Have ``signum`` sent to this process when the thread that started it ends."""
    _ask(_SET_PDEATHSIG, signum)


def adopt_orphans(*, yes: bool) -> None:
    """Become the parent of descendants whose own dies, instead of init; or no longer."""
    _ask(_SET_CHILD_SUBREAPER, int(yes))


def _ask(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
