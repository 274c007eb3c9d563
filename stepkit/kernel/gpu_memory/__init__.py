"""Guard RMM inside a notebook's process.

Run by path, by the kernel's own Python (3.9 or later), which may have no stepkit: standard library
only, and next to nothing of it before the notebook imports RMM. Nothing here imports RMM or CuPy,
or initialises CUDA, before the notebook does.

The guard fails open: its own faults are reported, and the notebook goes on as without it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .guard import Guard

VARIABLE = "STEPKIT_GUARD"  # settings in JSON; empty or missing: no guard

_CHILDREN = os.path.join(os.path.dirname(os.path.dirname(__file__)), "children")


def install(*, child: bool = False) -> Guard | None:
    """Guard this process as the environment asks; None when it asks for no guard.

    ``child`` is a process that the notebook started. Raises :class:`ValueError` for settings that
    are none.
    """
    from . import import_hook, read_guard_request  # only where a guard is asked for
    from .guard import Guard

    asked = read_guard_request.read(os.environ.get(VARIABLE, ""))
    if asked is None or asked.mode == "off":
        return None
    if not child:
        _pass_on(children=asked.children)
    guard = Guard(asked, child=child)
    import_hook.install(
        {"rmm.rmm": guard.rmm_imported, "rmm.allocators.cupy": guard.allocator_imported},
        broken=guard.report.broken,
    )
    guard.begin()
    return guard


def _pass_on(*, children: bool) -> None:
    """Let processes that this one starts find the guard, or nothing of it."""
    if not children:
        del os.environ[VARIABLE]
        return
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{_CHILDREN}{os.pathsep}{before}" if before else _CHILDREN
