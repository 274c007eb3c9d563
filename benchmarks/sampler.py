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
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import psutil

from benchmarks import figures
from benchmarks.figures import Proof
from benchmarks.process import ROOT

NAME: Final = "sampler-cost"
_BUDGET: Final = 0.5  # percent of one core, at five samples a second
_INTERVAL: Final = 0.2
_TREES: Final = (1, 10, 50)  # processes

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
    new_process = partial(ProcessPoolExecutor, 1, mp_context=get_context("spawn"))
    for size in _TREES:
        name = f"{NAME}, {size} processes"
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
                    with new_process() as pool:
                        shares.append(pool.submit(_measure, way, tree.pid, seconds).result())
                median = statistics.median(shares)
                span = f"{min(shares):.3f}..{max(shares):.3f}, n={turns}"
                ok = median <= _BUDGET if way == "stepkit" else None
                yield Proof(name, way, f"{median:.3f} % of a core ({span})", ok=ok)


def main() -> int:
    """Run the proof alone."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sampler", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--turns", type=int, default=3, help="measurements of each way (default 3)")
    parser.add_argument("--driver", choices=["machine", "fake"], default="machine")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stepkit-nvml-") as directory:
        if options.driver == "fake":  # a library that answers at once
            source, library = ROOT / "tests/fake_nvml.c", Path(directory, "libnvidia-ml.so.1")
            subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
            path = os.environ.get("LD_LIBRARY_PATH", "")
            os.environ["LD_LIBRARY_PATH"] = os.pathsep.join([directory, path])
        return figures.print_proofs(prove(seconds=options.seconds, turns=options.turns))


if __name__ == "__main__":
    sys.exit(main())
