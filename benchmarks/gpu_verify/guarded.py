"""What runs in a process under the guard, after RMM is set up as single-cell notebooks do."""

from typing import Any

from benchmarks.gpu.allocators import run_guarded
from benchmarks.gpu.worker import MIB, attempt, library

_NUMBERS = 1 << 20


def add_up(mode: str) -> dict[str, Any]:
    """Add numbers with an allocator of ``--rmm-mode``; a pool begins with 256 MiB."""
    size = {"rmm_pool_size": "256MiB"} if mode in {"pool", "async"} else {}
    return run_guarded({"rmm_mode": mode, **size}, _work)


def find_no_device() -> dict[str, Any]:
    """Set RMM up; the caller hides all devices."""
    return {"outcome": attempt(lambda: run_guarded({}, dict))}


def ask_for_too_large_a_pool() -> dict[str, Any]:
    """Ask for a pool of four times the GPU's memory, and use what the guard chose in its place."""

    def work() -> dict[str, Any]:
        rmm = library("rmm")
        size = int(rmm.mr.available_device_memory()[1]) * 4 // MIB * MIB
        rmm.reinitialize(pool_allocator=True, initial_pool_size=size)
        return _work()

    return run_guarded({}, work)


def _work() -> dict[str, Any]:
    return {"outcome": attempt(_sum_is_right)}


def _sum_is_right() -> bool:
    cupy = library("cupy")
    numbers = cupy.arange(_NUMBERS, dtype=cupy.float64)
    return bool(float(numbers.sum()) == sum(range(_NUMBERS)))
