"""Ways to hand out GPU memory to CuPy, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from benchmarks.gpu_outcome import GIB, library

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

POOL: Final = 8 * GIB  # or half of what is free, on a smaller card

NOTEBOOKS_OWN: Final = "rmm-cuda"  # rmm.reinitialize(managed_memory=False, pool_allocator=False)


class Fallback:
    """An RMM resource that asks others in turn: the first with room serves the allocation.

    ``served`` counts the bytes of each.
    """

    def __init__(self, upstreams: Sequence[Any]) -> None:
        self.upstreams = upstreams
        self.served = [0] * len(upstreams)
        self._owner: dict[int, Any] = {}
        self.resource = library("rmm").mr.CallbackMemoryResource(self._allocate, self._free)

    def _allocate(self, size: int, stream: Any) -> int:
        full: MemoryError | None = None
        for number, upstream in enumerate(self.upstreams):
            try:
                pointer = int(upstream.allocate(size, stream))
            except MemoryError as error:
                full = error
                continue
            self._owner[pointer] = upstream
            self.served[number] += size
            return pointer
        raise MemoryError(f"no rung has {size} bytes: {full}")

    def _free(self, pointer: int, size: int, stream: Any) -> None:
        self._owner.pop(pointer).deallocate(pointer, size, stream)


def install(mode: str) -> Any:
    """Let CuPy allocate by ``mode``; return RMM's resource, None where it is not RMM's.

    It has to outlive all arrays. Raises :class:`KeyError` for an unknown mode.
    """
    cupy = library("cupy")
    if mode in _CUPY:
        cupy.cuda.set_allocator(_CUPY[mode](cupy.cuda))
        return None
    resource = _RMM[mode](library("rmm").mr, _pool_size(cupy))
    use(resource)
    return resource


def use(resource: Any) -> None:
    """Make an RMM resource the one that RMM and CuPy use."""
    rmm, cupy = library("rmm"), library("cupy")
    rmm.mr.set_current_device_resource(resource)
    cupy.cuda.set_allocator(library("rmm.allocators.cupy").rmm_cupy_allocator)


def _pool_size(cupy: Any) -> int:
    free = int(cupy.cuda.runtime.memGetInfo()[0])
    return min(POOL, free // 2) // 256 * 256  # RMM counts in units of 256 bytes


def _pool(mr: Any, size: int) -> Any:
    return mr.PoolMemoryResource(mr.CudaMemoryResource(), initial_pool_size=size)


def _limited(mr: Any, size: int) -> Any:
    return mr.LimitingResourceAdaptor(_pool(mr, size), size)


_CUPY: Final[dict[str, Callable[[Any], Any]]] = {
    "cupy-raw": lambda _: None,
    "cupy-pool": lambda cuda: cuda.MemoryPool().malloc,
    "cupy-async": lambda cuda: cuda.MemoryAsyncPool().malloc,
}
_RMM: Final[dict[str, Callable[[Any, int], Any]]] = {
    NOTEBOOKS_OWN: lambda mr, _: mr.CudaMemoryResource(),
    "rmm-pool": _pool,
    "rmm-async": lambda mr, size: mr.CudaAsyncMemoryResource(initial_pool_size=size),
    "rmm-arena": lambda mr, size: mr.ArenaMemoryResource(mr.CudaMemoryResource(), arena_size=size),
    "rmm-pool+statistics": lambda mr, size: mr.StatisticsResourceAdaptor(_pool(mr, size)),
    "rmm-pool+limit+statistics": lambda mr, size: mr.StatisticsResourceAdaptor(_limited(mr, size)),
    "rmm-pool+fallback": lambda mr, size: (
        Fallback([_pool(mr, size), mr.CudaMemoryResource()]).resource
    ),
}
MODES: Final = (*_CUPY, *_RMM)
