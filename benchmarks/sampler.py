"""What does watching a run cost? ``python -m benchmarks.sampler``.

Each way watches the same tree of processes at the same rate; its cost is the CPU time, as a share
of one core, of the process that does it, and of what that starts. ``--driver fake`` puts a library
of ours in the place of NVML, so that a machine without a GPU can measure all but the driver's time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.targets import Proof

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

NAME: Final = "sampler-cost"
_BUDGET: Final = 0.5  # percent of one core, at five samples a second
_INTERVAL: Final = 0.2
_TREES: Final = (1, 10, 50)  # processes
_FAKE: Final = Path(__file__).parents[1] / "tests/fake_nvml.c"

_TREE: Final = """
import subprocess, sys
children = [subprocess.Popen(["sleep", "3600"]) for _ in range(int(sys.argv[1]) - 1)]
print("ready", flush=True)
sys.stdin.read()
for child in children:
    child.kill()
"""


def prove(
    *, seconds: float = 10.0, turns: int = 3, driver: Path | None, say: Callable[[str], None]
) -> list[Proof]:
    """Measure every way ``turns`` times for ``seconds`` each; ``driver`` is where NVML is."""
    proofs = []
    for size in _TREES:
        with _tree(size) as pid:
            for way in WAYS:
                found = [_measure(way, pid, seconds, driver) for _ in range(turns)]
                proofs.append(_proof(way, size, [share for share in found if share is not None]))
                say(f"{proofs[-1].name} {proofs[-1].runner}: {proofs[-1].text}")
    return proofs


def _proof(way: str, size: int, shares: Sequence[float]) -> Proof:
    name = f"{NAME}, {size} processes"
    if not shares:
        return Proof(name=name, runner=way, text="not here")
    median = sorted(shares)[len(shares) // 2]
    return Proof(
        name=name,
        runner=way,
        text=f"{median:.3f} % of a core ({min(shares):.3f}..{max(shares):.3f}, n={len(shares)})",
        wanted=f"at most {_BUDGET} %",
        ok=median <= _BUDGET if way == "stepkit" else None,
        numbers={"percent": [round(share, 4) for share in shares]},
    )


def _measure(way: str, pid: int, seconds: float, driver: Path | None) -> float | None:
    """Return the percentage of a core that ``way`` takes in a process of its own."""
    env = dict(os.environ)
    if driver:
        env["LD_LIBRARY_PATH"] = os.pathsep.join([str(driver), env.get("LD_LIBRARY_PATH", "")])
    command = [sys.executable, "-m", "benchmarks.sampler", "--way", way, "--pid", str(pid)]
    done = subprocess.run(
        [*command, "--seconds", str(seconds)], env=env, capture_output=True, text=True, check=True
    )
    found: float | None = json.loads(done.stdout)
    return found


@contextmanager
def _tree(size: int) -> Iterator[int]:
    command = [sys.executable, "-c", _TREE, str(size)]
    root = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    with root:  # closes its stdin, at which it ends
        assert root.stdout is not None
        root.stdout.readline()
        yield root.pid


def _stepkit(pid: int, seconds: float) -> None:
    from stepkit.gpu.monitor.sampler import Sampler

    with Sampler(_INTERVAL) as sampler:
        sampler.follow(pid)
        time.sleep(seconds)


def _psutil(pid: int, seconds: float) -> None:
    import psutil

    def look() -> None:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            process.memory_info()
            process.cpu_times()

    _repeat(look, seconds)


def _nvidia_smi(pid: int, seconds: float) -> None:  # noqa: ARG001 - it knows no trees
    query = "--query-gpu=memory.used,utilization.gpu,power.draw,temperature.gpu"
    command = ["nvidia-smi", query, "--format=csv,noheader"]
    _repeat(lambda: _spawn(*command), seconds)


def _one_true(pid: int, seconds: float) -> None:  # noqa: ARG001 - as above
    """Start the smallest of programs: what any tool costs that is started for each sample."""
    _repeat(lambda: _spawn("true"), seconds)


def _spawn(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=True)


WAYS: Final = {
    "stepkit": _stepkit,
    "psutil": _psutil,
    "nvidia-smi": _nvidia_smi,
    "a spawn of true": _one_true,
}


def _repeat(look: Callable[[], None], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        look()
        time.sleep(_INTERVAL)


def _share(way: str, pid: int, seconds: float) -> float | None:
    """Return the percentage of a core, without what imports and the first samples take."""
    try:
        WAYS[way](pid, 2 * _INTERVAL)
    except FileNotFoundError:  # nvidia-smi
        return None
    before, began = _cpu_seconds(), time.monotonic()
    WAYS[way](pid, seconds)
    return 100 * (_cpu_seconds() - before) / (time.monotonic() - began)


def _cpu_seconds() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in used)


@contextmanager
def fake_driver() -> Iterator[Path]:
    """Yield a directory with a fake of NVML that answers at once."""
    with tempfile.TemporaryDirectory(prefix="stepkit-nvml-") as name:
        library = Path(name, "libnvidia-ml.so.1")
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, _FAKE], check=True)
        yield Path(name)


def main() -> int:
    """Run the proof alone, or one measurement for it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sampler", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--turns", type=int, default=3, help="measurements of each way (default 3)")
    parser.add_argument("--driver", choices=["machine", "fake"], default="machine")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--pid", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(_share(options.way, options.pid, options.seconds)))
        return 0
    measured = {"seconds": options.seconds, "turns": options.turns, "say": print}
    if options.driver == "machine":
        found = prove(driver=None, **measured)
    else:
        with fake_driver() as driver:
            found = prove(driver=driver, **measured)
    return int(any(proof.ok is False for proof in found))


if __name__ == "__main__":
    sys.exit(main())
