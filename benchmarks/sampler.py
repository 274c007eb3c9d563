"""What does watching a run cost? ``python -m benchmarks.sampler``.

Each way watches the same tree of processes at the same rate; its cost is the CPU time, as a share
of one core, of the process that does it, and of what that starts. ``--driver fake`` puts a library
of ours in the place of NVML, so that a machine without a GPU can measure all but the driver's time.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import psutil

from benchmarks import figures, process
from benchmarks.figures import Proof

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


def prove(*, seconds: float, turns: int, driver: Path | None) -> Iterator[Proof]:
    """Measure every way ``turns`` times for ``seconds`` each; ``driver`` is where NVML is."""
    for size in _TREES:
        with subprocess.Popen(
            [sys.executable, "-c", _TREE, str(size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as tree:  # the end of the block closes its stdin, at which it ends
            assert tree.stdout is not None
            tree.stdout.readline()
            for way in ("stepkit", *_READ):
                found = [_measure(way, tree.pid, seconds, driver) for _ in range(turns)]
                shares = [share for share in found if share is not None]
                name, wanted = f"{NAME}, {size} processes", f"at most {_BUDGET} %"
                if spread := figures.spread(shares):
                    span = f"{spread.low:.3f}..{spread.high:.3f}, n={spread.count}"
                    text = f"{spread.median:.3f} % of a core ({span})"
                    ok = spread.median <= _BUDGET if way == "stepkit" else None
                    numbers = {"percent": [round(share, 4) for share in shares]}
                    yield Proof(name, way, text, wanted, ok, numbers)
                else:
                    yield Proof(name, way, "not here")


def _measure(way: str, pid: int, seconds: float, driver: Path | None) -> float | None:
    """Return the percentage of a core that ``way`` takes in a separate process."""
    env = dict(os.environ)
    if driver:
        env["LD_LIBRARY_PATH"] = os.pathsep.join([str(driver), env.get("LD_LIBRARY_PATH", "")])
    code = f"from benchmarks import sampler; sampler.print_share({way!r}, {pid}, {seconds})"
    done = process.run([sys.executable, "-c", code], env=env)
    if done.problem:
        raise RuntimeError(f"{way}: {done.problem}")
    share: float | None = json.loads(done.output)
    return share


def print_share(way: str, pid: int, seconds: float) -> None:
    """Print the percentage of a core, without what imports and the first samples take."""
    try:
        _watch(way, pid, 2 * _INTERVAL)
    except FileNotFoundError:  # nvidia-smi
        print("null")
        return
    before, began = _cpu_seconds(), time.monotonic()
    _watch(way, pid, seconds)
    print(100 * (_cpu_seconds() - before) / (time.monotonic() - began))


def _cpu_seconds() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def main() -> int:
    """Run the proof alone."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sampler", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--turns", type=int, default=3, help="measurements of each way (default 3)")
    parser.add_argument("--driver", choices=["machine", "fake"], default="machine")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stepkit-nvml-") as name:
        driver = None
        if options.driver == "fake":  # a library that answers at once
            driver = Path(name)
            source, library = process.ROOT / "tests/fake_nvml.c", driver / "libnvidia-ml.so.1"
            subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
        proofs = prove(seconds=options.seconds, turns=options.turns, driver=driver)
        return figures.print_proofs(proofs)


if __name__ == "__main__":
    sys.exit(main())
