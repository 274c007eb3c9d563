"""What happens to children when their parent dies, as a process asks the kernel for it by prctl(2).

A child of stepkit gets SIGTERM when its parent dies, even by SIGKILL. Linux does so
(PR_SET_PDEATHSIG) only when the child asks for it. That it is to ask is passed in an environment
variable: Python code between fork and exec may deadlock in a program with threads. The signal
comes when the thread that started the child ends, so that thread must wait for the child.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

VARIABLE: Final = "STEPKIT_PARENT_PID"  # set by stepkit for its own children alone
_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_SET_CHILD_SUBREAPER: Final = 36


def child_environment() -> dict[str, str]:
    """Return what to add to the environment of a child that is to end with this process."""
    return {VARIABLE: str(os.getpid())}


def end_with_parent(environment: MutableMapping[str, str]) -> None:
    """Ask for SIGTERM at the parent's death if ``environment`` says so; call this first of all.

    The variable is removed, because the children of this process have another parent.
    """
    wanted = environment.pop(VARIABLE, None)
    if wanted is None:
        return
    _prctl(_SET_PDEATHSIG, signal.SIGTERM)
    if str(os.getppid()) != wanted:  # it died before this process could ask
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # there is nothing to save, or to report to
        signal.raise_signal(signal.SIGTERM)


def adopt_orphans(*, yes: bool) -> None:
    """Become the parent of descendants whose own parent dies, instead of init; or stop that."""
    _prctl(_SET_CHILD_SUBREAPER, int(yes))


def _prctl(option: int, value: int) -> None:
    import ctypes

    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
