"""Run one measurement in a process of its own: ``python -m benchmarks.gpu_worker WHAT [...]``.

CUDA's errors at its start stay for the life of a process, and an allocator can be changed only
before the first array.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks import gpu_outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).parents[1]

WORKERS: Final = {
    "probe": ("gpu_faults", "probe"),
    "allocate": ("gpu_workloads", "allocate"),
    "guarded": ("gpu_guarded", "guarded"),
    "guarded-over-budget": ("gpu_guarded", "over_budget"),
    "over-budget": ("gpu_ladder", "over_budget"),
    "on-host": ("gpu_ladder", "on_host"),
    "fault": ("gpu_faults", "fault"),
    "nvml": ("gpu_nvml", "calls"),
    "sampler": ("gpu_nvml", "sampler"),
}

_TAIL: Final = 600  # characters of what a dead worker printed


def call(
    what: str, *arguments: object, limit: float = 120.0, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run worker ``what`` for at most ``limit`` seconds and return what it tells.

    ``env`` is added to the environment. A worker that dies or hangs gives an ``error``.
    """
    command = [sys.executable, "-m", "benchmarks.gpu_worker", what, *map(str, arguments)]
    began = time.perf_counter()
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"took more than {limit:g} s"}
    told = _told(done)
    return {**told, "process_seconds": round(time.perf_counter() - began, 3)}


def _told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    try:
        told = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        told = None
    if isinstance(told, dict):
        return told
    return {"error": f"ended with code {done.returncode}: {done.stderr[-_TAIL:].strip()}"}


def main(arguments: list[str]) -> None:
    """Print what a worker found as one line of JSON; leave at once, whatever it left behind."""
    module, function = WORKERS[arguments[0]]
    try:
        found = getattr(importlib.import_module(f"benchmarks.{module}"), function)(*arguments[1:])
    except Exception as error:  # noqa: BLE001 - told, like everything else
        found = {"error": gpu_outcome.spelled(error)}
    print("\n" + json.dumps(found, default=str), flush=True)
    os._exit(0)  # destroying contexts and allocators in the wrong order may crash


if __name__ == "__main__":
    main(sys.argv[1:])
