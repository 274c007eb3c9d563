"""Mark each cell as a range of NVTX, so that a profile by Nsight Systems shows which cell ran when.

Run by path, by the kernel's own Python (3.9 or later), which may have no stepkit: standard library
only. NVTX is the package nvtx, which cudf brings, or else the toolkit's library up to CUDA 12.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def open_ranges() -> CellRanges | None:
    """Return the ranges of a process that a profiler watches, None if NVTX is not there."""
    for find in (_package, _library):
        with suppress(Exception):  # a broken installation must not stop the notebook
            return CellRanges(*find())
    print(  # noqa: T201
        "stepkit: a profiler runs, but cells have no NVTX range: neither the package nvtx nor "
        "libnvToolsExt.so.1 can be loaded",
        file=sys.stderr,
    )
    return None


class CellRanges:
    """Opens and closes ranges by two functions of NVTX."""

    def __init__(self, push: Any, pop: Any) -> None:
        self._push = push
        self._pop = pop

    @contextmanager
    def cell(self, name: str) -> Iterator[None]:
        """Mark what runs in the block, in this thread, as the cell ``name``."""
        opened = False
        with suppress(Exception):
            self._push(name)
            opened = True  # otherwise the range that would end is the notebook's own
        try:
            yield
        finally:
            with suppress(Exception):
                if opened:
                    self._pop()


def _package() -> tuple[Any, Any]:
    import nvtx  # type: ignore[import-not-found,unused-ignore] # the kernel's

    return nvtx.push_range, nvtx.pop_range


def _library() -> tuple[Any, Any]:
    library = ctypes.CDLL("libnvToolsExt.so.1")
    library.nvtxRangePushA.argtypes = [ctypes.c_char_p]
    return lambda name: library.nvtxRangePushA(name.encode()), library.nvtxRangePop
