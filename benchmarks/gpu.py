"""Measure the GPU side of stepkit on one NVIDIA GPU: allocators, falling back, faults, watching.

Every measurement runs in a process of its own, with a time limit; none takes more than 10 GiB of
the GPU's memory or 3 GiB of the host's. Without a GPU it says why, tries the ladder on the host's
memory, and writes what it has. It needs CuPy, RMM and numpy, and pynvml for the costs of NVML.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks import gpu_claims, gpu_faults, gpu_guarded, gpu_ladder, gpu_worker
from benchmarks.gpu_allocators import MODES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchmarks.gpu_claims import Findings

SCHEMA: Final = "stepkit.gpu-benchmark/1"
SECTIONS: Final = ("allocators", "over-budget", "faults", "nvml", "check-environment")
EXIT_NO_GPU: Final = 3

_PROBE_SECONDS: Final = 60.0
_CHECKS: Final = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; return 3 if ``--require-gpu`` finds none."""
    options = _parser().parse_args(arguments)
    found = _begun()
    if not found["why_not"]:
        for section in options.sections.split(","):
            _MEASURES[section](found, options)
            _write(found, options.out)  # a machine may be taken back before the end
    found["targets"] = [dataclasses.asdict(result) for result in gpu_claims.judged(found)]
    _write(found, options.out)
    print(*gpu_claims.lines(found), sep="\n")
    print(f"\nwrote {options.out}")
    return EXIT_NO_GPU if found["why_not"] and options.require_gpu else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="a quarter of the arrays, one turn")
    add("--rounds", type=int, help="turns of every allocator (default 3, with --quick 1)")
    add("--sections", default=",".join(SECTIONS), help=f"some of {','.join(SECTIONS)}", type=_known)
    add("--require-gpu", action="store_true", help=f"exit {EXIT_NO_GPU} without a GPU")
    add("--out", type=Path, metavar="FILE", default=Path("gpu-benchmark.json"))
    return parser


def _known(text: str) -> str:
    if unknown := set(text.split(",")) - set(SECTIONS):
        raise argparse.ArgumentTypeError(f"no section {min(unknown)!r}: {', '.join(SECTIONS)}")
    return text


def _begun() -> Findings:
    probe = gpu_worker.call("probe", limit=_PROBE_SECONDS)
    return {
        "schema": SCHEMA,
        "date": datetime.now(tz=UTC).date().isoformat(),
        "machine": {
            "kind": f"{platform.system().lower()}-{platform.machine()}-{os.cpu_count()}cpu",
            "python": platform.python_version(),
            **{
                name: str(probe[name]["value"])
                for name in ("cupy", "rmm", "pynvml")
                if probe.get(name, {}).get("ok")
            },
        },
        "why_not": gpu_faults.why_not(probe),
        "probe": probe,
        "on_host": gpu_worker.call("on-host", limit=_PROBE_SECONDS),
    }


def _allocators(found: Findings, options: argparse.Namespace) -> None:
    """Let all modes run in turn, turn by turn: what disturbs one disturbs its neighbour too."""
    found["allocators"] = []
    modes = [("allocate", mode) for mode in MODES] + [("guarded", m) for m in gpu_guarded.ASKED]
    for turn in range(options.rounds or (1 if options.quick else 3)):
        for what, mode in modes:
            told = gpu_worker.call(what, mode, options.quick)
            found["allocators"].append({"turn": turn, "mode": mode, **told})
            _say(f"{turn + 1} {mode}: {told.get('error', '') or told.get('workloads')}")


def _over_budget(found: Findings, _: argparse.Namespace) -> None:
    runs = {kind: ("over-budget", kind) for kind in gpu_ladder.KINDS}
    _each(found, "over_budget", {**runs, "guard": ("guarded-over-budget",)}.items())


def _faults(found: Findings, _: argparse.Namespace) -> None:
    found["faults"] = {}
    for name, env in gpu_faults.FAULTS.items():
        found["faults"][name] = gpu_worker.call("fault", name, env=env, limit=_PROBE_SECONDS)


def _nvml(found: Findings, options: argparse.Namespace) -> None:
    found["nvml"] = gpu_worker.call("nvml")
    found["sampler"] = gpu_worker.call("sampler", 2 if options.quick else 10)
    _say(f"sampler: {found['sampler']}")


def _check_environment(found: Findings, _: argparse.Namespace) -> None:
    command = [sys.executable, "-P", "-m", "stepkit", "check-environment", "--gpu", "required"]
    found["check_environment"] = []
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(_path())}
    for _turn in range(_CHECKS):
        began = time.perf_counter()
        try:
            done = subprocess.run(
                command,
                env=env,
                capture_output=True,
                text=True,
                timeout=_PROBE_SECONDS,
                check=False,
            )
            ended = {"code": done.returncode, "said": done.stderr[-1000:]}
        except subprocess.TimeoutExpired:
            ended = {"code": None, "said": f"took more than {_PROBE_SECONDS:g} s"}
        run = {"seconds": round(time.perf_counter() - began, 3), **ended}
        found["check_environment"].append(run)
        _say(f"check-environment: code {run['code']} after {run['seconds']} s")


def _path() -> list[str]:
    """Return the module path of a process that finds stepkit without being in its directory."""
    return [str(gpu_worker.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]


def _each(found: Findings, section: str, runs: Iterable[tuple[str, tuple[str, ...]]]) -> None:
    found[section] = {}
    for name, worker in runs:
        found[section][name] = gpu_worker.call(*worker)
        _say(f"{section} {name}: {found[section][name]}")


_MEASURES: Final[dict[str, Callable[[Any, argparse.Namespace], None]]] = dict(
    zip(SECTIONS, (_allocators, _over_budget, _faults, _nvml, _check_environment), strict=True)
)


def _write(found: Findings, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1, default=str) + "\n")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
