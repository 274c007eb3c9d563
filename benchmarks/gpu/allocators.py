"""Ways to hand out GPU memory to CuPy, timed side by side.

The workloads are what a notebook does to an allocator, with little work between: its cost shows.
"""

import os
import random
import statistics
import tempfile
import time
import timeit
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.gpu.worker import GIB, MIB, attempt, library

POOL: Final = 8 * GIB  # or half of what is free, on a smaller card

NOTEBOOKS_OWN: Final = "rmm-cuda"  # rmm.reinitialize(managed_memory=False, pool_allocator=False)

# The options of the guard, by the name of the row.
GUARDED: Final[Mapping[str, Mapping[str, Any]]] = {
    "guard off": {"rmm_mode": "off"},
    "guard respect": {},
    "guard cuda": {"rmm_mode": "cuda"},
    "guard pool": {"rmm_mode": "pool", "rmm_pool_size": "8GiB"},
    "guard async": {"rmm_mode": "async", "rmm_pool_size": "8GiB"},
}

_ALIVE: Final = 64
_SEED: Final = 7  # the same sizes for each mode
_FLOATS: Final = 1 << 22  # 16 MiB of float32


def _pool(mr: Any, size: int) -> Any:
    return mr.PoolMemoryResource(mr.CudaMemoryResource(), initial_pool_size=size)


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
    "rmm-pool+limit+statistics": lambda mr, size: mr.StatisticsResourceAdaptor(
        mr.LimitingResourceAdaptor(_pool(mr, size), size)
    ),
}
MODES: Final = (*_CUPY, *_RMM)


def measure(mode: str, workload: str, quick: str) -> dict[str, Any]:
    """Time one of :data:`WORKLOADS` under one of :data:`MODES`, in a fresh process."""
    cupy = library("cupy")
    cupy.cuda.runtime.free(0)  # makes the context, which every allocator needs
    began = time.perf_counter()
    resource = None  # it has to outlive all arrays
    if mode in _CUPY:
        cupy.cuda.set_allocator(_CUPY[mode](cupy.cuda))
    else:
        free = int(cupy.cuda.runtime.memGetInfo()[0])
        size = min(POOL, free // 2) // 256 * 256  # RMM counts in units of 256 bytes
        resource = _RMM[mode](library("rmm").mr, size)
        use(resource)
    cupy.cuda.runtime.deviceSynchronize()
    setup = round(time.perf_counter() - began, 4)
    found = {"setup_seconds": setup, **_measure_workload(workload, quick)}
    if counts := getattr(resource, "allocation_counts", None):
        found["peak_bytes"] = int(counts.peak_bytes)
    return found


def use(resource: Any) -> None:
    """Make an RMM resource the one that RMM and CuPy use."""
    library("rmm").mr.set_current_device_resource(resource)
    library("cupy").cuda.set_allocator(library("rmm.allocators.cupy").rmm_cupy_allocator)


def measure_guarded(name: str, workload: str, quick: str) -> dict[str, Any]:
    """Time one of :data:`WORKLOADS` under the guard, with options ``name`` of :data:`GUARDED`."""
    return run_guarded(GUARDED[name], lambda: _measure_workload(workload, quick))


def run_guarded(options: Mapping[str, Any], work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Guard this process, set RMM up as single-cell notebooks do, and call ``work``.

    Returns what ``work`` returns and what the guard logged (None in ``--rmm-mode off``).
    """
    from stepkit.gpu.memory import guard_request, read_guard_log
    from stepkit.gpu.step_options import GpuOptions
    from stepkit.kernel import gpu_memory

    with tempfile.TemporaryDirectory(prefix="stepkit-gpu-") as directory:
        report = Path(directory, "guard.jsonl")
        settings = guard_request.settings(GpuOptions(**options), report)
        os.environ |= settings.environment()
        guard = gpu_memory.install()
        rmm, cupy = library("rmm"), library("cupy")
        rmm.reinitialize(managed_memory=False, pool_allocator=False, devices=0)
        cupy.cuda.set_allocator(library("rmm.allocators.cupy").rmm_cupy_allocator)
        found = work()
        if guard:
            guard.cell_ended()  # logs the statistics, as after a notebook's cell
        log = read_guard_log.read(report)
    names = ("active", "allocator", "lowered", "warnings", "peak", "overflow")
    logged = {name: getattr(log, name) for name in names}
    return {**found, "guard_log": None if options.get("rmm_mode") == "off" else logged}


def guard_problem(found: Mapping[str, Any], *, lowered: bool = False) -> str:
    """Return why what was ``found`` under the guard does not count, empty if it does.

    A guard that was not active or that chose another allocator measured something else; with
    ``lowered`` it must have chosen one. Without a guard there is no problem.
    """
    log = found.get("guard_log")
    if log is None:
        return ""
    if not log["active"]:
        return "the guard was not active"
    if log["lowered"] is not lowered:
        return f"the guard served {log['allocator']}" + ("" if lowered else ", a lower rung")
    if log["warnings"] and not log.get("overflow"):  # it warns of that
        return f"the guard warned: {log['warnings'][0]}"
    return ""


def _allocate_fixed(cupy: Any, count: int) -> None:
    for _ in range(count):
        cupy.cuda.alloc(MIB)


def _allocate_mixed(cupy: Any, count: int) -> None:
    chosen = random.Random(_SEED)
    alive: list[Any] = [None] * _ALIVE
    for number in range(count):
        alive[number % _ALIVE] = None
        alive[number % _ALIVE] = cupy.cuda.alloc(1 << chosen.randint(8, 25))


def _compute_chain(cupy: Any, count: int) -> None:
    x = cupy.arange(_FLOATS, dtype=cupy.float32) / _FLOATS
    for _ in range(count):
        y = cupy.sqrt(x * x + 1.0) * cupy.exp(-x) + x * 0.5
        y = (y - y.mean()) / (y.std() + 1e-6)


def _sort(cupy: Any, count: int) -> None:
    x = cupy.random.default_rng(_SEED).random(_FLOATS, dtype=cupy.float32)
    for _ in range(count):
        cupy.sort(x)[cupy.argsort(x)[:10]] = 0


ALLOCATION_HEAVY: Final = "mixed"  # what the target for the pool is about
# What is done, how often, and how many of the unit of its time a second has.
WORKLOADS: Final[dict[str, tuple[str, Callable[[Any, int], None], int, float]]] = {
    "fixed": ("1 MiB taken and given back, us", _allocate_fixed, 4000, 1e6),
    ALLOCATION_HEAVY: ("256 B to 32 MiB, 64 alive, us", _allocate_mixed, 4000, 1e6),
    "chain": ("elementwise, 16 MiB temporaries, ms", _compute_chain, 20, 1e3),
    "sort": ("sort and argsort of 4 M floats, ms", _sort, 10, 1e3),
}


def _measure_workload(name: str, quick: str) -> dict[str, Any]:
    """Time a workload under the allocator that is set: ``workloads`` by its name, or its error.

    Times are for each array, or for each turn of those that compute.
    """
    most, times = (1000, 3) if quick == "True" else (4000, 5)
    cupy = library("cupy")
    _, work, longest, units = WORKLOADS[name]
    count = min(longest, most)

    def finish() -> None:
        work(cupy, count)
        cupy.cuda.runtime.deviceSynchronize()

    def median_seconds() -> float:
        finish()  # compiles kernels, and lets pools grow
        return statistics.median(timeit.repeat(finish, number=1, repeat=times))

    done = attempt(median_seconds)
    return {"workloads": {name: round(done["value"] * units / count, 3) if done["ok"] else done}}
