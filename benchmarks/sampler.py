"""What does watching a run cost? ``python -m benchmarks.sampler``.

Each way watches the same tree of processes at the same rate; its cost is the CPU time, as a share
of one core, of the process that does it, and of what that starts. ``--driver fake`` puts a library
of ours in the place of NVML, so that a machine without a GPU can measure all but the driver's time.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import psutil

from benchmarks import figures, process
from benchmarks.figures import Proof
from benchmarks.gpu.worker import attempt, library

_BUDGET: Final = 0.5  # percent of one core, at five samples a second
_INTERVAL: Final = 0.2
_TREES: Final = (1, 10, 50)  # processes
_CALLS: Final = 50  # of each function of NVML
_FLOATS: Final = 1 << 22

_TREE: Final = """
import subprocess, sys
children = [subprocess.Popen(["sleep", "3600"]) for _ in range(int(sys.argv[1]) - 1)]
print("ready", flush=True)
sys.stdin.read()
for child in children:
    child.kill()
"""
_QUERY: Final = "--query-gpu=memory.used,utilization.gpu,power.draw,temperature.gpu"
_NVIDIA_SMI: Final = ("nvidia-smi", _QUERY, "--format=csv,noheader")


def _read_by_psutil(pid: int) -> None:
    root = psutil.Process(pid)
    for watched in (root, *root.children(recursive=True)):
        watched.memory_info()
        watched.cpu_times()


# What takes one sample; stepkit's sampler has its own thread.
_READ: Final[dict[str, Callable[[int], object]]] = {
    "psutil": _read_by_psutil,
    "nvidia-smi": lambda _: subprocess.run(_NVIDIA_SMI, capture_output=True, check=True),
    # The smallest of programs: what any tool costs that is started for each sample.
    "a spawn of true": lambda _: subprocess.run(["true"], capture_output=True, check=True),
}


def _watch(way: str, pid: int, seconds: float) -> None:
    if way == "stepkit":
        from stepkit.gpu.monitor.sampler import Sampler

        with Sampler(_INTERVAL) as sampler:
            sampler.follow(pid)
            time.sleep(seconds)
        return
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        _READ[way](pid)
        time.sleep(_INTERVAL)


def _measure(way: str, pid: int, seconds: float) -> float:
    """Return the percentage of a core, without what imports and the first samples take."""

    def cpu_seconds() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(usage.ru_utime + usage.ru_stime for usage in used)

    _watch(way, pid, 2 * _INTERVAL)
    before, began = cpu_seconds(), time.monotonic()
    _watch(way, pid, seconds)
    return 100 * (cpu_seconds() - before) / (time.monotonic() - began)


def prove(*, seconds: float, turns: int) -> Iterator[Proof]:
    """Measure every way ``turns`` times for ``seconds`` each, each time in a new process."""
    for size in _TREES:
        name = f"sampler-cost, {size} processes"
        with subprocess.Popen(
            [sys.executable, "-c", _TREE, str(size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as tree:  # the end of the block closes its stdin, at which it ends
            assert tree.stdout is not None
            tree.stdout.readline()
            for way in ("stepkit", *_READ):
                if way == "nvidia-smi" and not shutil.which(way):
                    yield Proof(name, way, "not here")
                    continue
                shares = []
                for _ in range(turns):
                    with process.new() as pool:
                        shares.append(pool.submit(_measure, way, tree.pid, seconds).result())
                median = statistics.median(shares)
                span = f"{min(shares):.3f}..{max(shares):.3f}, n={turns}"
                ok = median <= _BUDGET if way == "stepkit" else None
                yield Proof(name, way, f"{median:.3f} % of a core ({span})", ok=ok)


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

    def count_operations(seconds: float) -> float:
        """Return how many elementwise operations a second the card did."""
        y, turns, began = x, 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            for _ in range(50):
                y = cupy.sqrt(y * y + 1.0)
            cupy.cuda.runtime.deviceSynchronize()
            turns += 50
        return round(turns / (time.perf_counter() - began), 1)

    count_operations(0.5)
    with Sampler():
        pass  # imports what it needs: a run pays for that once
    rates: dict[str, list[float]] = {"off": [], "on": []}
    timelines = []
    for _ in range(2):
        rates["off"].append(count_operations(float(seconds)))
        with Sampler() as sampler:
            rates["on"].append(count_operations(float(seconds)))
        timelines.append(sampler.timeline())
    share = statistics.median(timeline.own_cpu_seconds for timeline in timelines) / float(seconds)
    memory = [timeline.extents.get("gpu0.memory_used") for timeline in timelines]
    return {
        "share_of_a_core": round(share, 5),
        "samples": sum(timeline.samples for timeline in timelines),
        "errors": list(timelines[-1].errors),
        "peak_bytes_used": max((int(used.highest) for used in memory if used), default=0),
        "turns_per_second": rates,
    }


def unwatched(found: Mapping[str, Any]) -> str:
    """Return why the cost that was ``found`` is not that of watching a GPU, empty if it is."""
    if found["errors"]:
        return str(found["errors"][0])
    return "" if found["peak_bytes_used"] else f"{found['samples']} samples, none of its memory"


def main() -> int:
    """Run the proof alone."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sampler", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--turns", type=int, default=3, help="measurements of each way (default 3)")
    parser.add_argument("--driver", choices=["machine", "fake"], default="machine")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stepkit-nvml-") as directory:
        if options.driver == "fake":  # a library that answers at once
            source, library = process.ROOT / "tests/fake_nvml.c", f"{directory}/libnvidia-ml.so.1"
            subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
            path = os.environ.get("LD_LIBRARY_PATH", "")
            os.environ["LD_LIBRARY_PATH"] = os.pathsep.join([directory, path])
        return figures.print_proofs(prove(seconds=options.seconds, turns=options.turns))


if __name__ == "__main__":
    sys.exit(main())
