"""Take memory from the host when the GPU's is full, up to a limit."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from . import cuda_device, cuda_errors

if TYPE_CHECKING:
    from collections.abc import Callable


class HostOverflow:
    """Allocates from the resource ``gpu``, and from ``host`` when ``gpu`` is full.

    ``on_overflow`` is called once, with the bytes of the first allocation on the host. ``used`` and
    ``peak`` are bytes on the host.
    """

    def __init__(self, gpu: Any, host: Any, on_overflow: Callable[[int], None]) -> None:
        self._gpu = gpu
        self._host = host
        self._on_overflow = on_overflow
        self._on_host: set[int] = set()
        self._lock = threading.Lock()
        self.used = self.peak = 0

    def resource(self) -> Any:
        """Return the resource for RMM.

        It is not kept here: a reference cycle would keep it, and a pool on the GPU, after its use.
        """
        return cuda_device.resources().CallbackMemoryResource(self._allocate, self._deallocate)

    def _allocate(self, size: int, stream: Any) -> int:
        try:
            return int(self._gpu.allocate(size, stream))
        except MemoryError as error:
            if not cuda_errors.is_full(error):
                raise
        pointer = int(self._host.allocate(size, stream))
        with self._lock:
            begins = not self.peak
            self._on_host.add(pointer)
            self.used += size
            self.peak = max(self.peak, self.used)
        if begins:
            self._on_overflow(size)
        return pointer

    def _deallocate(self, pointer: int, size: int, stream: Any) -> None:
        with self._lock:
            on_host = pointer in self._on_host
            if on_host:
                self._on_host.remove(pointer)
                self.used -= size
        (self._host if on_host else self._gpu).deallocate(pointer, size, stream)


def host_memory(number: int, limit: int) -> Any:
    """Return a resource of ``limit`` bytes on the host that device ``number`` can use, or None.

    It is managed memory where its pages may leave the GPU, else memory that is locked on the host.
    """
    mr = cuda_device.resources()
    if cuda_device.pages_on_demand(number):
        return mr.LimitingResourceAdaptor(mr.ManagedMemoryResource(), limit)
    if hasattr(mr, "PinnedHostMemoryResource"):  # since RMM 25.12
        return mr.LimitingResourceAdaptor(mr.PinnedHostMemoryResource(), limit)
    return None
