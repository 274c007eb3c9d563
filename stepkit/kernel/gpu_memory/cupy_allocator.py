"""Wrap RMM's allocator for CuPy, so that CuPy's own pool serves where only RMM is broken."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

from .write_guard_log import spell_error

if TYPE_CHECKING:
    from collections.abc import Callable


def wrap(module: Any, *, before_array: Callable[[], None], warn: Callable[[str], None]) -> None:
    """Wrap ``rmm_cupy_allocator`` of ``module``; call ``before_array`` before each allocation.

    ``warn`` is called with a sentence when CuPy's own pool serves for the first time.
    """
    original = module.rmm_cupy_allocator
    serves = False

    @functools.wraps(original)
    def rmm_cupy_allocator(nbytes: int) -> Any:
        nonlocal serves
        before_array()
        try:
            return original(nbytes)
        except MemoryError:
            raise
        except Exception as error:
            pointer = _from_cupy(nbytes)
            if pointer is None:
                raise
            if not serves:
                serves = True
                warn(f"CuPy's own pool serves its arrays, as RMM failed: {spell_error(error)}")
            return pointer

    module.rmm_cupy_allocator = rmm_cupy_allocator


def _from_cupy(size: int) -> Any:
    """Return memory of CuPy's own pool, None where that fails, too: RMM is not what is broken."""
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return None
    try:
        return cupy.get_default_memory_pool().malloc(size)
    except Exception:  # RMM's error is the one to show
        return None
