"""Three GiB of arrays on a budget of one: what falls back finishes, and with the right sum."""

import ctypes
from typing import Any, Final

from benchmarks.gpu import allocators
from benchmarks.gpu.worker import GIB, MIB, attempt, library

KINDS: Final = ("pool", "pool-then-cuda", "pool-then-pinned", "spill")
ARRAYS: Final = 12  # of 256 MiB each
BUDGET: Final = GIB
GUARD: Final = {
    "rmm_mode": "pool",
    "rmm_pool_size": "512MiB",
    "rmm_maximum_pool_size": "1GiB",
    "rmm_overflow": "2560MiB",
}

_FLOATS: Final = 64 * MIB
_SUMMED: Final = 1 << 20  # elements of each array: float32 adds them without loss


def run(kind: str) -> dict[str, Any]:
    """Run the workload on a pool of one GiB, with ``kind`` for what no longer fits.

    ``pool`` has nothing and must fail. Device memory stays below 5 GiB, pinned memory below 3.
    """
    mr, cupy = library("rmm").mr, library("cupy")
    cupy.cuda.runtime.free(0)
    pool = mr.PoolMemoryResource(
        mr.CudaMemoryResource(), initial_pool_size=BUDGET, maximum_pool_size=BUDGET
    )
    resource = pool = mr.LimitingResourceAdaptor(pool, BUDGET)
    rungs: list[Any] = []
    alive: list[Any] = []
    spilled = 0

    def spill(_: int) -> bool:
        """Move the oldest array on the GPU to the host; return False when there is none."""
        nonlocal spilled
        for number, array in enumerate(alive):
            if isinstance(array, cupy.ndarray):
                alive[number] = cupy.asnumpy(array)
                spilled += alive[number].nbytes
                return True
        return False

    if kind == "spill":
        resource = mr.FailureCallbackResourceAdaptor(pool, spill)
    elif kind != "pool":
        if kind == "pool-then-cuda":
            host = mr.LimitingResourceAdaptor(mr.CudaMemoryResource(), 4 * GIB)
        else:
            host = mr.LimitingResourceAdaptor(mr.PinnedHostMemoryResource(), 5 * GIB // 2)
        rungs = [mr.StatisticsResourceAdaptor(rung) for rung in (pool, host)]
        resource = allocators.overflow(*rungs)
    allocators.use(resource)
    return {
        "outcome": attempt(lambda: _fill_and_sum(alive)),
        "arrays": len(alive),
        "served_mib": [int(rung.allocation_counts.total_bytes) // MIB for rung in rungs],
        "spilled_mib": spilled // MIB,
    }


def run_guarded() -> dict[str, Any]:
    """Run the workload on a guarded pool of at most one GiB, and the host's memory."""
    alive: list[Any] = []

    def work() -> dict[str, Any]:
        return {"outcome": attempt(lambda: _fill_and_sum(alive)), "arrays": len(alive)}

    return allocators.run_guarded(GUARD, work)


def _fill_and_sum(alive: list[Any]) -> bool:
    """Fill ``alive`` with all arrays, and return whether they still hold what was written."""
    cupy = library("cupy")
    for number in range(ARRAYS):
        array = cupy.full(_FLOATS, number + 1, dtype=cupy.float32)  # may spill what is alive
        alive.append(array)
    total = sum(float(cupy.asarray(array[:_SUMMED]).sum()) for array in alive)
    return bool(total == sum((number + 1) * _SUMMED for number in range(ARRAYS)))


def run_on_host() -> dict[str, Any]:
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
    limited = [rmm.mr.LimitingResourceAdaptor(host, limit) for limit in (MIB, 4 * MIB)]
    rungs = [rmm.mr.StatisticsResourceAdaptor(rung) for rung in limited]
    counted = rmm.mr.StatisticsResourceAdaptor(allocators.overflow(*rungs))
    blocks = [counted.allocate(MIB // 2) for _ in range(6)]
    full = attempt(lambda: [counted.allocate(2 * MIB) for _ in range(3)])
    for block in blocks:
        counted.deallocate(block, MIB // 2)
    counts = counted.allocation_counts
    return {
        "rmm": rmm.__version__,
        "served": [int(rung.allocation_counts.total_bytes) for rung in rungs],
        "peak_bytes": int(counts.peak_bytes),
        "bytes_left": int(counts.current_bytes),
        "full": full,
    }
