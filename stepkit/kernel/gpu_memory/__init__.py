"""The guard of RMM inside the notebook's process; stepkit.gpu.memory is its other half outside.

Run by path, by the kernel's own Python (3.9 or later), which may have no stepkit: standard library
only, and next to nothing of it before the notebook imports RMM. Nothing here imports RMM or CuPy,
or initialises CUDA, before the notebook does.

The guard fails open: its own errors are logged, and the notebook goes on as without it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .guard import Guard

VARIABLE = "STEPKIT_GUARD"  # settings in JSON; empty or missing: no guard

_CHILDREN = os.path.join(os.path.dirname(os.path.dirname(__file__)), "children")


def install(*, child: bool = False) -> Guard | None:
    """Guard this process as the environment asks; return None when it asks for no guard.

    ``child`` says that a notebook started this process. Raises :class:`ValueError` for settings
    that are not a JSON object.
    """
    from . import import_hook, read_guard_request  # only where a guard is asked for
    from .guard import Guard

    asked = read_guard_request.read(os.environ.get(VARIABLE, ""))
    if asked is None or asked.mode == "off":
        return None
    if not child and asked.children:  # children find sitecustomize.py, which guards them
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = f"{_CHILDREN}{os.pathsep}{before}" if before else _CHILDREN
    elif not child:
        del os.environ[VARIABLE]
    guard = Guard(asked, child=child)
    import_hook.install(
        {
            "rmm.rmm": guard.rmm_imported,
            "rmm.allocators.cupy": guard.allocator_imported,
            "dask_cuda": guard.dask_cuda_imported,
            "ucxx": guard.ucx_imported,
            "ucp": guard.ucx_imported,
        },
        on_error=guard.log.write_error,
    )
    guard.begin()
    return guard
