"""Measure the GPU side of stepkit on one NVIDIA GPU: allocators, falling back, faults, watching.

Every measurement runs in a separate process, with a time limit: one that hangs or dies loses that
measurement alone. None takes more than 10 GiB of the GPU's memory or 3 GiB of the host's. Without a
GPU it says why, tries a limit on the host's memory, and writes what it has. It needs CuPy, RMM
and numpy, and pynvml for the costs of NVML.
"""

import argparse
import dataclasses
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks import process
from benchmarks.compare import record
from benchmarks.figures import new_file, positive_seconds, show_progress, write_json
from benchmarks.gpu import allocators, faults, over_budget, report, worker
from benchmarks.gpu.report import Findings

SCHEMA: Final = "stepkit.gpu-benchmark/1"
# The longest comes last, so that a deadline costs the others nothing.
SECTIONS: Final = ("check-environment", "over-budget", "faults", "nvml", "allocators")
EXIT_NO_GPU: Final = 3

_PROBE_SECONDS: Final = 60.0
_WORK_SECONDS: Final = 120.0
_LEAST_SECONDS: Final = 5.0  # with less time left, a measurement is not begun


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; return 3 if ``--require-gpu`` finds none."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="a quarter of the arrays")
    add("--rounds", type=int, default=1, help="turns of every allocator (default 1)")
    add("--deadline", type=positive_seconds, default=600.0, help="seconds in all (default 600)")
    add("--sections", default=",".join(SECTIONS), help=f"some of {','.join(SECTIONS)}")
    add("--require-gpu", action="store_true", help=f"exit {EXIT_NO_GPU} without a GPU")
    add("--out", type=new_file, metavar="FILE", default=Path("gpu-benchmark.json"))
    options = parser.parse_args(arguments)
    sections = options.sections.split(",")
    if unknown := set(sections) - set(SECTIONS):
        parser.error(f"argument --sections: no section {min(unknown)!r}: {', '.join(SECTIONS)}")
    until = time.monotonic() + options.deadline
    probe = worker.call("probe", limit=min(_PROBE_SECONDS, options.deadline))
    machine = {"kind": record.machine_kind(), "python": platform.python_version()}
    machine |= {
        name: str(probe[name]["value"])
        for name in ("cupy", "rmm", "pynvml")
        if probe.get(name, {}).get("ok")
    }
    found: Findings = {
        "schema": SCHEMA,
        "date": record.today(),
        "machine": machine,
        "why_not": faults.find_obstacle(probe),
        "probe": probe,
        "on_host": worker.call("on-host", limit=_PROBE_SECONDS),
    }
    if not found["why_not"]:
        for section in sections:
            measured = _measure(section, options, until)
            if section != "allocators":
                show_progress(f"{section}: {measured}")
            found |= measured
            write_json(options.out, found)  # a machine may be taken back before the end
    found["targets"] = [dataclasses.asdict(result) for result in report.judge(found)]
    write_json(options.out, found)
    print(*report.lines(found), sep="\n")
    print(f"\nwrote {options.out}")
    return EXIT_NO_GPU if found["why_not"] and options.require_gpu else 0


def _measure(section: str, options: argparse.Namespace, until: float) -> Findings:
    match section:
        case "allocators":
            return {"allocators": _measure_allocators(options, until)}
        case "over-budget":
            runs = {kind: _call(until, "over-budget", kind) for kind in over_budget.KINDS}
            return {"over_budget": {**runs, "guard": _call(until, "guarded-over-budget")}}
        case "faults":
            calls = faults.FAULTS.items()
            return {"faults": {name: _call(until, "fault", name, env=env) for name, env in calls}}
        case "nvml":
            seconds = 2 if options.quick else 10
            return {"nvml": _call(until, "nvml"), "sampler": _call(until, "sampler", seconds)}
        case _:
            return {"check_environment": [_check_environment(until) for _ in range(3)]}


def _call(
    until: float, name: str, *arguments: object, env: Mapping[str, str] | None = None
) -> Findings:
    left = until - time.monotonic()
    if left < _LEAST_SECONDS:
        return {"error": "the deadline came first", "lost": True}
    return worker.call(name, *arguments, env=env, limit=min(_WORK_SECONDS, left))


def _measure_allocators(options: argparse.Namespace, until: float) -> list[Findings]:
    """Let all modes run in turn, turn by turn: what disturbs one disturbs its neighbour too."""
    found = []
    modes = [("allocate", mode) for mode in allocators.MODES]
    modes += [("guarded", mode) for mode in allocators.GUARDED]
    for turn in range(options.rounds):
        for workload in allocators.WORKLOADS:
            for name, mode in modes:
                run = _call(until, name, mode, workload, options.quick)
                found.append({"turn": turn, "mode": mode, "workload": workload, **run})
                shown = run.get("error") or run.get("workloads")
                show_progress(f"{turn + 1} {mode}, {workload}: {shown}")
    return found


def _check_environment(until: float) -> Findings:
    limit = min(_PROBE_SECONDS, until - time.monotonic())
    # Without -P Python finds stepkit in the directory that it starts in, installed or not.
    command = [sys.executable, "-m", "stepkit", "check-environment", "--gpu", "required"]
    done = process.run(command, limit=limit)
    late = f"took more than {limit:.0f} s"
    printed = late if done.code is None else done.output[-1000:]
    return {"seconds": round(done.usage.wall, 3), "code": done.code, "said": printed}


if __name__ == "__main__":
    sys.exit(main())
