"""Count the calls of cuml.accel with its own profiler, which calls back (cuML 25.10 or later)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .call_counts import lacks_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from .call_counts import CallCounts

_LONGEST = 200  # characters of a reason


def count(module: Any, counts: CallCounts) -> Callable[[], None]:
    """Profile all calls with ``module``, cuml.accel.profilers.

    The result adds what was called since its last call to ``counts``.
    """
    profiling = module.profile(quiet=True)
    results = profiling.__enter__()

    def add_calls(_: Any = profiling) -> None:  # the profile ends with its context manager
        while results.method_calls:
            name, found = results.method_calls.popitem()
            if found.gpu_calls:
                counts.on_gpu(found.gpu_time, calls=found.gpu_calls)
            if found.cpu_calls:
                why = " ".join(", ".join(sorted(found.fallback_reasons)).split())[:_LONGEST]
                memory = found.cpu_calls if lacks_memory(None, why) else 0
                counts.on_cpu(name, found.cpu_time, why, calls=found.cpu_calls, memory=memory)

    return add_calls
