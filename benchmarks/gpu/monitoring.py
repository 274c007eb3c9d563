"""Measure what watching the GPU costs: each call of NVML, and stepkit's sampler as a whole."""

import statistics
import time
import timeit
from typing import Any, Final

from benchmarks.gpu.worker import attempt, library

_CALLS: Final = 50
_FLOATS: Final = 1 << 22


def measure_calls() -> dict[str, Any]:
    """Return for each call the median microseconds, or its error: some cards do not answer."""
    nvml: Any = library("pynvml")
    nvml.nvmlInit()
    card = nvml.nvmlDeviceGetHandleByIndex(0)
    clocks = getattr(nvml, "nvmlDeviceGetCurrentClocksEventReasons", None)
    calls = {
        "memory": lambda: nvml.nvmlDeviceGetMemoryInfo(card),
        "utilisation": lambda: nvml.nvmlDeviceGetUtilizationRates(card),
        "power": lambda: nvml.nvmlDeviceGetPowerUsage(card),
        "temperature": lambda: nvml.nvmlDeviceGetTemperature(card, 0),
        "clock reasons": lambda: (clocks or nvml.nvmlDeviceGetCurrentClocksThrottleReasons)(card),
        "processes": lambda: nvml.nvmlDeviceGetComputeRunningProcesses(card),
        "ECC errors": lambda: nvml.nvmlDeviceGetTotalEccErrors(card, 1, 0),
    }
    found = {name: attempt(call) for name, call in calls.items()}
    for name, first in found.items():
        if first["ok"]:
            taken = timeit.repeat(calls[name], number=1, repeat=_CALLS)
            found[name] = {
                "ok": True,
                "first_us": round(first["seconds"] * 1e6),
                "median_us": round(statistics.median(taken) * 1e6, 1),
                "max_us": round(max(taken) * 1e6, 1),
            }
    return found


def measure_sampler(seconds: str) -> dict[str, Any]:
    """Compare turns of GPU work with and without stepkit's sampler in the same process.

    ``share_of_a_core`` is the CPU time that the sampler's own thread took. Turns alternate, as the
    card's clocks drift: off, on, off, on.
    """
    from stepkit.gpu.monitor.sampler import Sampler

    cupy = library("cupy")
    x = cupy.arange(_FLOATS, dtype=cupy.float32)
    _count_operations(cupy, x, 0.5)
    with Sampler():
        pass  # imports what it needs: a run pays for that once
    rates: dict[str, list[float]] = {"off": [], "on": []}
    shares, samples, peak = [], 0, 0
    for _ in range(2):
        rates["off"].append(_count_operations(cupy, x, float(seconds)))
        with Sampler() as sampler:
            rates["on"].append(_count_operations(cupy, x, float(seconds)))
        timeline = sampler.timeline()
        shares.append(timeline.own_cpu_seconds / float(seconds))
        samples += timeline.samples
        if used := timeline.extents.get("gpu0.memory_used"):
            peak = max(peak, int(used.highest))
    return {
        "share_of_a_core": round(statistics.median(shares), 5),
        "samples": samples,
        "errors": list(timeline.errors),
        "peak_bytes_used": peak,
        "turns_per_second": rates,
    }


def _count_operations(cupy: Any, x: Any, seconds: float) -> float:
    """Return how many elementwise operations a second the card did."""
    turns, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        for _ in range(50):
            x = cupy.sqrt(x * x + 1.0)
        cupy.cuda.runtime.deviceSynchronize()
        turns += 50
    return round(turns / (time.perf_counter() - began), 1)
