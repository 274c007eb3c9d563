"""GPU memory that goes on in the host's when the GPU's is full, up to a limit."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from . import cuda_device, error_causes

if TYPE_CHECKING:
    from collections.abc import Callable


class Overflow:
    """Hands out memory of ``first``, and of ``spare`` when ``first`` has none left.

    ``told`` is called once, with the bytes that first did not fit. ``used`` and ``peak`` are bytes
    of ``spare``.
    """

    def __init__(self, first: Any, spare: Any, told: Callable[[int], None]) -> None:
        self._first = first
        self._spare = spare
        self._told = told
        self._held: set[int] = set()
        self._lock = threading.Lock()
        self.used = self.peak = 0

    def resource(self) -> Any:
        """Return what RMM is to use.

        It is not kept here: in a circle it would outlive its use, and with it a pool on the GPU.
        """
        return cuda_device.resources().CallbackMemoryResource(self._allocate, self._deallocate)

    def _allocate(self, size: int, stream: Any) -> int:
        try:
            return int(self._first.allocate(size, stream))
        except MemoryError as error:
            if not error_causes.full(error):
                raise
        pointer = int(self._spare.allocate(size, stream))
        with self._lock:
            begins = not self.peak
            self._held.add(pointer)
            self.used += size
            self.peak = max(self.peak, self.used)
        if begins:
            self._told(size)
        return pointer

    def _deallocate(self, pointer: int, size: int, stream: Any) -> None:
        with self._lock:
            spare = pointer in self._held
            if spare:
                self._held.remove(pointer)
                self.used -= size
        (self._spare if spare else self._first).deallocate(pointer, size, stream)


def spare(number: int, limit: int) -> Any:
    """Return host memory that device ``number`` can use, ``limit`` bytes of it; None without.

    Managed memory where its pages may leave the GPU, else memory that is locked on the host.
    """
    mr = cuda_device.resources()
    if cuda_device.pages_on_demand(number):
        return mr.LimitingResourceAdaptor(mr.ManagedMemoryResource(), limit)
    if hasattr(mr, "PinnedHostMemoryResource"):  # since RMM 25.12
        return mr.LimitingResourceAdaptor(mr.PinnedHostMemoryResource(), limit)
    return None
