"""Three GiB of arrays on a budget of one: what falls back finishes, and with the right sum."""

from __future__ import annotations

import ctypes
from typing import Any, Final

from benchmarks import gpu_allocators
from benchmarks.gpu_allocators import Fallback
from benchmarks.gpu_outcome import GIB, MIB, attempted, library

KINDS: Final = ("pool", "pool-then-cuda", "pool-then-pinned", "spill")
ARRAYS: Final = 12  # of 256 MiB each
BUDGET: Final = GIB

_FLOATS: Final = 64 * MIB
_PART: Final = 1 << 20  # elements of each array that are summed: float32 adds them without loss


def over_budget(kind: str) -> dict[str, Any]:
    """Run the workload on a pool of one GiB, with ``kind`` for what no longer fits.

    ``pool`` has nothing and must fail. Device memory stays below 5 GiB, pinned memory below 3.
    """
    mr = library("rmm").mr
    library("cupy").cuda.runtime.free(0)
    pool = mr.LimitingResourceAdaptor(
        mr.PoolMemoryResource(
            mr.CudaMemoryResource(), initial_pool_size=BUDGET, maximum_pool_size=BUDGET
        ),
        BUDGET,
    )
    alive: list[Any] = []
    spilled = [0]
    fallback: Fallback | None = None
    resource = pool
    if kind == "pool-then-cuda":
        fallback = Fallback([pool, mr.LimitingResourceAdaptor(mr.CudaMemoryResource(), 4 * GIB)])
    elif kind == "pool-then-pinned":
        pinned = mr.PinnedHostMemoryResource()
        fallback = Fallback([pool, mr.LimitingResourceAdaptor(pinned, 5 * GIB // 2)])
    elif kind == "spill":
        resource = mr.FailureCallbackResourceAdaptor(pool, lambda _: _spill(alive, spilled))
    gpu_allocators.use(fallback.resource if fallback else resource)
    return {
        "outcome": attempted(lambda: summed(alive)),
        "arrays": len(alive),
        "served_mib": [size // MIB for size in fallback.served] if fallback else [],
        "spilled_mib": spilled[0] // MIB,
    }


def summed(alive: list[Any]) -> bool:
    """Fill ``alive`` with all arrays, and tell whether they still hold what was written."""
    cupy = library("cupy")
    for number in range(ARRAYS):
        array = cupy.full(_FLOATS, number + 1, dtype=cupy.float32)  # may spill what is alive
        alive.append(array)
    total = sum(float(cupy.asarray(array[:_PART]).sum()) for array in alive)
    return bool(total == sum((number + 1) * _PART for number in range(ARRAYS)))


def _spill(alive: list[Any], spilled: list[int]) -> bool:
    """Move the oldest array on the GPU to the host; False when there is none."""
    cupy = library("cupy")
    for number, array in enumerate(alive):
        if isinstance(array, cupy.ndarray):
            alive[number] = cupy.asnumpy(array)
            spilled[0] += alive[number].nbytes
            return True
    return False


def on_host() -> dict[str, Any]:
    """Do the same in small on the host's malloc, with RMM's own limits: it needs no GPU.

    Six blocks of half a MiB under a limit of one, with four more to fall back to, and then three
    of two MiB, of which one is too many.
    """
    rmm = library("rmm")
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    host = rmm.mr.CallbackMemoryResource(
        lambda size, _: libc.malloc(size), lambda pointer, _, __: libc.free(pointer)
    )
    limits = (MIB, 4 * MIB)
    ladder = Fallback([rmm.mr.LimitingResourceAdaptor(host, limit) for limit in limits])
    counted = rmm.mr.StatisticsResourceAdaptor(ladder.resource)
    blocks = [counted.allocate(MIB // 2) for _ in range(6)]
    full = attempted(lambda: [counted.allocate(2 * MIB) for _ in range(3)])
    for block in blocks:
        counted.deallocate(block, MIB // 2)
    counts = counted.allocation_counts
    return {
        "rmm": rmm.__version__,
        "served": ladder.served,
        "peak_bytes": int(counts.peak_bytes),
        "bytes_left": int(counts.current_bytes),
        "full": full,
    }
