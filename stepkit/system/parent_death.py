"""Tie a child of our own to its parent: it is asked to end when the parent dies, even by SIGKILL.

Linux does so (PR_SET_PDEATHSIG) only when the child asks for it. What to ask for is passed in a
variable of the environment: Python code between fork and exec may deadlock in a program with
threads. The signal comes when the thread that started the child ends, so it must wait for it.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

VARIABLE: Final = "STEPKIT_PARENT_PID"  # between stepkit and its own children, nobody else's


def tied() -> dict[str, str]:
    """Return what is to be added to the environment of a child that is to end with us."""
    return {VARIABLE: str(os.getpid())}


def end_with_parent(environment: MutableMapping[str, str]) -> None:
    """Ask for SIGTERM when our parent dies, if it wants that; do it before anything else.

    The variable is removed: our own children have another parent.
    """
    wanted = environment.pop(VARIABLE, None)
    if wanted is None:
        return
    from stepkit.system import prctl

    prctl.signal_when_parent_dies(signal.SIGTERM)
    if str(os.getppid()) != wanted:  # it died before we could ask
        signal.raise_signal(signal.SIGTERM)
