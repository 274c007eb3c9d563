"""Three GiB of arrays on a budget of one: what falls back finishes, and with the right sum."""

import ctypes
from typing import Any, Final

from benchmarks.gpu import allocators
from benchmarks.gpu.worker import GIB, MIB, attempt, library

KINDS: Final = ("pool", "managed", "spill")
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
    """Run the workload on a budget of one GiB, with ``kind`` for what no longer fits.

    ``pool`` has nothing and must fail, ``managed`` is managed memory that CUDA may move to the
    host, ``spill`` moves the oldest array there. Device memory stays below 5 GiB.
    """
    mr, cupy = library("rmm").mr, library("cupy")
    cupy.cuda.runtime.free(0)
    alive: list[Any] = []

    def spill(_: int) -> bool:
        """Move the oldest array on the GPU to the host; return False when there is none."""
        for number, array in enumerate(alive):
            if isinstance(array, cupy.ndarray):
                alive[number] = cupy.asnumpy(array)
                return True
        return False

    if kind == "managed":
        managed = mr.PrefetchResourceAdaptor(mr.ManagedMemoryResource())
        resource = mr.LimitingResourceAdaptor(managed, 7 * GIB // 2)
    else:
        pool = mr.PoolMemoryResource(
            mr.CudaMemoryResource(), initial_pool_size=BUDGET, maximum_pool_size=BUDGET
        )
        resource = mr.LimitingResourceAdaptor(pool, BUDGET)
    if kind == "spill":
        resource = mr.FailureCallbackResourceAdaptor(resource, spill)
    allocators.use(resource)
    outcome = attempt(lambda: _fill_and_sum(alive))
    spilled = sum(array.nbytes for array in alive if not isinstance(array, cupy.ndarray))
    return {"outcome": outcome, "arrays": len(alive), "spilled_mib": spilled // MIB}


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
    """Do the same in small on the host's malloc, with RMM's own limit: it needs no GPU.

    Two blocks of half a MiB fit under a limit of one MiB, and the third is one too many.
    """
    rmm = library("rmm")
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    host = rmm.mr.CallbackMemoryResource(
        lambda size, _: libc.malloc(size), lambda pointer, _, __: libc.free(pointer)
    )
    limited = rmm.mr.LimitingResourceAdaptor(host, MIB)
    counted = rmm.mr.StatisticsResourceAdaptor(limited)
    blocks = [counted.allocate(MIB // 2) for _ in range(2)]
    full = attempt(lambda: counted.allocate(MIB // 2))
    for block in blocks:
        counted.deallocate(block, MIB // 2)
    counts = counted.allocation_counts
    return {
        "rmm": rmm.__version__,
        "peak_bytes": int(counts.peak_bytes),
        "bytes_left": int(counts.current_bytes),
        "full": full,
    }
