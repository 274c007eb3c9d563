"""What a notebook does to an allocator, with little work between: its cost shows."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, Final

from benchmarks import gpu_allocators
from benchmarks.gpu_outcome import MIB, attempted, library, timed

if TYPE_CHECKING:
    from collections.abc import Callable

ALLOCATION_HEAVY: Final = "mixed"  # what the target for the pool is about
NAMES: Final = {
    "fixed": "1 MiB taken and given back, us",
    ALLOCATION_HEAVY: "256 B to 32 MiB, 64 alive, us",
    "chain": "elementwise, 16 MiB temporaries, ms",
    "sort": "sort and argsort of 4 M floats, ms",
}

_ALIVE: Final = 64
_SEED: Final = 7  # the same sizes for each mode
_FLOATS: Final = 1 << 22  # 16 MiB of float32


def allocate(mode: str, quick: str) -> dict[str, Any]:
    """Time all workloads under one allocator, in a fresh process."""
    cupy = library("cupy")
    cupy.cuda.runtime.free(0)  # makes the context, which is no allocator's cost
    began = time.perf_counter()
    resource = gpu_allocators.install(mode)
    cupy.cuda.runtime.deviceSynchronize()
    found = {"setup_seconds": round(time.perf_counter() - began, 4), **measured(quick == "True")}
    counts = getattr(resource, "allocation_counts", None)
    if counts is not None:
        found["peak_bytes"] = int(counts.peak_bytes)
    return found


def measured(quick: bool) -> dict[str, Any]:  # noqa: FBT001 - the command's own flag
    """Time each workload under the allocator that is set: ``workloads`` by name, or its error.

    Small ones are in microseconds for each array, the others in milliseconds for each turn.
    """
    count, times = (1000, 3) if quick else (4000, 5)
    cupy = library("cupy")
    units = {"fixed": 1e6 / count, "mixed": 1e6 / count, "chain": 1e3 / 20, "sort": 1e3 / 10}
    found: dict[str, Any] = {}
    for name, unit in units.items():
        work = _work(name, cupy, count)
        done = attempted(lambda work=work: timed(work, times))  # type: ignore[misc]
        found[name] = round(done["value"] * unit, 3) if done["ok"] else done
    return {"workloads": found}


def _work(name: str, cupy: Any, count: int) -> Callable[[], None]:
    def done() -> None:
        cupy.cuda.runtime.deviceSynchronize()

    def fixed() -> None:
        for _ in range(count):
            cupy.cuda.alloc(MIB)
        done()

    def mixed() -> None:
        chosen = random.Random(_SEED)
        alive: list[Any] = [None] * _ALIVE
        for number in range(count):
            alive[number % _ALIVE] = None
            alive[number % _ALIVE] = cupy.cuda.alloc(1 << chosen.randint(8, 25))
        done()

    def chain() -> None:
        x = cupy.arange(_FLOATS, dtype=cupy.float32) / _FLOATS
        for _ in range(20):
            y = cupy.sqrt(x * x + 1.0) * cupy.exp(-x) + x * 0.5
            y = (y - y.mean()) / (y.std() + 1e-6)
        done()

    def sort() -> None:
        x = cupy.random.default_rng(_SEED).random(_FLOATS, dtype=cupy.float32)
        for _ in range(10):
            cupy.sort(x)[cupy.argsort(x)[:10]] = 0
        done()

    return {"fixed": fixed, "mixed": mixed, "chain": chain, "sort": sort}[name]
