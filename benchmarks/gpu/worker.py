"""Run one measurement in a separate process: ``python -m benchmarks.gpu.worker NAME [...]``.

CUDA's errors at its start stay for the life of a process, and an allocator can be changed only
before the first array.
"""

import importlib
import json
import os
import pkgutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from benchmarks import process

MIB: Final = 1 << 20
GIB: Final = 1 << 30

# The function of each measurement.
WORKERS: Final = {
    "probe": "gpu.faults:probe",
    "allocate": "gpu.allocators:measure",
    "guarded": "gpu.allocators:measure_guarded",
    "guarded-over-budget": "gpu.over_budget:run_guarded",
    "guarded-sum": "gpu_verify.guarded:add_up",
    "guarded-no-device": "gpu_verify.guarded:find_no_device",
    "guarded-large-pool": "gpu_verify.guarded:ask_for_too_large_a_pool",
    "over-budget": "gpu.over_budget:run",
    "on-host": "gpu.over_budget:run_on_host",
    "fault": "gpu.faults:provoke",
    "nvml": "sampler:measure_calls",
    "sampler": "sampler:measure_sampler",
}

_TAIL: Final = 600  # characters of what a dead worker printed
_LONGEST: Final = 400  # characters of an error: RMM's quote paths of its sources


def call(
    name: str, *arguments: object, limit: float = 120.0, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a worker for at most ``limit`` seconds and return what it found.

    ``env`` is added to the environment. A worker that dies or hangs gives an ``error``, and is
    ``lost``: it shows nothing about what it was to measure.
    """
    command = [sys.executable, "-m", "benchmarks.gpu.worker", name, *map(str, arguments)]
    done = process.run(command, env={**os.environ, **(env or {})}, limit=limit)
    if done.code is None:
        return {"error": f"took more than {limit:g} s", "lost": True}
    try:
        found = json.loads(done.output.splitlines()[-1])
    except (IndexError, ValueError):
        found = None
    if not isinstance(found, dict):
        tail = done.output[-_TAIL:].strip()
        found = {"error": f"ended with code {done.code}: {tail}", "lost": True}
    return {**found, "process_seconds": round(done.usage.wall, 3)}


def library(name: str) -> Any:
    """Import ``cupy``, ``rmm``, ``pynvml``: a machine may lack each, and has any version of it."""
    return importlib.import_module(name)


def attempt(call: Callable[[], Any]) -> dict[str, Any]:
    """Return ``ok``, ``seconds``, and ``value`` or ``error``: every failure is a finding."""
    began = time.perf_counter()
    try:
        found = {"ok": True, "value": call()}
    except Exception as error:  # noqa: BLE001 - the error is what is measured
        found = {"ok": False, "error": _spell(error)}
        if hidden := error.__cause__ or error.__context__:
            found["hidden"] = _spell(hidden)
    return {**found, "seconds": round(time.perf_counter() - began, 4)}


def _spell(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__name__}: {str(error)[:_LONGEST]}"


def main(name: str, *arguments: str) -> None:
    """Print what a worker found as one line of JSON; leave at once, whatever it left behind."""
    function = WORKERS[name]
    try:
        found = pkgutil.resolve_name(f"benchmarks.{function}")(*arguments)
    except Exception as error:  # noqa: BLE001 - the caller reports it as a finding
        found = {"error": _spell(error)}
    print("\n" + json.dumps(found, default=str), flush=True)
    os._exit(0)  # destroying contexts and allocators in the wrong order may crash


if __name__ == "__main__":
    main(*sys.argv[1:])
