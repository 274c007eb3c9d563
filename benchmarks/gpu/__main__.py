"""Measure the GPU side of stepkit on one NVIDIA GPU: allocators, falling back, faults, watching.

Every measurement runs in a separate process, with a time limit; none takes more than 10 GiB of
the GPU's memory or 3 GiB of the host's. Without a GPU it says why, tries the ladder on the host's
memory, and writes what it has. It needs CuPy, RMM and numpy, and pynvml for the costs of NVML.
"""

import argparse
import dataclasses
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks import process
from benchmarks.compare import record
from benchmarks.figures import show_progress, write_json
from benchmarks.gpu import allocators, faults, over_budget, report, worker
from benchmarks.gpu.report import Findings

SCHEMA: Final = "stepkit.gpu-benchmark/1"
EXIT_NO_GPU: Final = 3

_PROBE_SECONDS: Final = 60.0
_CHECKS: Final = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; return 3 if ``--require-gpu`` finds none."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="a quarter of the arrays, one turn")
    add("--rounds", type=int, help="turns of every allocator (default 3, with --quick 1)")
    add("--sections", default=",".join(SECTIONS), help=f"some of {','.join(SECTIONS)}")
    add("--require-gpu", action="store_true", help=f"exit {EXIT_NO_GPU} without a GPU")
    add("--out", type=Path, metavar="FILE", default=Path("gpu-benchmark.json"))
    options = parser.parse_args(arguments)
    sections = options.sections.split(",")
    if unknown := set(sections) - set(SECTIONS):
        parser.error(f"argument --sections: no section {min(unknown)!r}: {', '.join(SECTIONS)}")
    probe = worker.call("probe", limit=_PROBE_SECONDS)
    versions = {
        name: str(probe[name]["value"])
        for name in ("cupy", "rmm", "pynvml")
        if probe.get(name, {}).get("ok")
    }
    kind, python = record.machine_kind(), platform.python_version()
    found: Findings = {
        "schema": SCHEMA,
        "date": record.today(),
        "machine": {"kind": kind, "python": python, **versions},
        "why_not": faults.find_obstacle(probe),
        "probe": probe,
        "on_host": worker.call("on-host", limit=_PROBE_SECONDS),
    }
    if not found["why_not"]:
        for section in sections:
            found |= SECTIONS[section](options)
            write_json(options.out, found)  # a machine may be taken back before the end
    found["targets"] = [dataclasses.asdict(result) for result in report.judge(found)]
    write_json(options.out, found)
    print(*report.lines(found), sep="\n")
    print(f"\nwrote {options.out}")
    return EXIT_NO_GPU if found["why_not"] and options.require_gpu else 0


def _measure_allocators(options: argparse.Namespace) -> Findings:
    """Let all modes run in turn, turn by turn: what disturbs one disturbs its neighbour too."""
    found = []
    modes = [("allocate", mode) for mode in allocators.MODES]
    modes += [("guarded", mode) for mode in allocators.GUARDED]
    for turn in range(options.rounds or (1 if options.quick else 3)):
        for name, mode in modes:
            run = worker.call(name, mode, options.quick)
            found.append({"turn": turn, "mode": mode, **run})
            show_progress(f"{turn + 1} {mode}: {run.get('error', '') or run.get('workloads')}")
    return {"allocators": found}


def _measure_over_budget(_: argparse.Namespace) -> Findings:
    found = {kind: worker.call("over-budget", kind) for kind in over_budget.KINDS}
    found["guard"] = worker.call("guarded-over-budget")
    for name, run in found.items():
        show_progress(f"over_budget {name}: {run}")
    return {"over_budget": found}


def _provoke_faults(_: argparse.Namespace) -> Findings:
    found = {}
    for name, env in faults.FAULTS.items():
        found[name] = worker.call("fault", name, env=env, limit=_PROBE_SECONDS)
    return {"faults": found}


def _measure_monitoring(options: argparse.Namespace) -> Findings:
    found = {"nvml": worker.call("nvml")}
    found["sampler"] = worker.call("sampler", 2 if options.quick else 10)
    show_progress(f"sampler: {found['sampler']}")
    return found


def _check_environment(_: argparse.Namespace) -> Findings:
    # It finds stepkit without being in its directory.
    path = [str(process.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    command = [*process.STEPKIT, "check-environment", "--gpu", "required"]
    found = []
    for _turn in range(_CHECKS):
        done = process.run(command, env=env, limit=_PROBE_SECONDS)
        late = f"took more than {_PROBE_SECONDS:g} s"
        printed = late if done.code is None else done.output[-1000:]
        run = {"seconds": round(done.usage.wall, 3), "code": done.code, "said": printed}
        found.append(run)
        show_progress(f"check-environment: code {run['code']} after {run['seconds']} s")
    return {"check_environment": found}


SECTIONS: Final[dict[str, Callable[[argparse.Namespace], Findings]]] = {
    "allocators": _measure_allocators,
    "over-budget": _measure_over_budget,
    "faults": _provoke_faults,
    "nvml": _measure_monitoring,
    "check-environment": _check_environment,
}


if __name__ == "__main__":
    sys.exit(main())
