"""Processes under the guard of RMM, with the RMM of any environment."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from stepkit.gpu.memory import guard_request, read_guard_log
from stepkit.gpu.memory.read_guard_log import GuardLog
from stepkit.kernel import __file__ as kernel

HERE = Path(__file__).parent
GUARD = Path(kernel).with_name("gpu_memory")

INSTALL = f"""\
import importlib.util, sys
sys.path.append({str(HERE)!r})
spec = importlib.util.spec_from_file_location(
    "stepkit_guard", {str(GUARD / "__init__.py")!r}, submodule_search_locations=[{str(GUARD)!r}]
)
stepkit_guard = sys.modules["stepkit_guard"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(stepkit_guard)
active = stepkit_guard.install()
"""
# What the RAPIDS single-cell notebooks begin with.
SET_UP = """\
import cupy as cp
import rmm
from rmm.allocators.cupy import rmm_cupy_allocator
rmm.reinitialize(managed_memory=False, pool_allocator=False, devices=0)
cp.cuda.set_allocator(rmm_cupy_allocator)
"""
ON_HOST = "import host_gpu, rmm\nhost_gpu.simulate()\n"


class Done(NamedTuple):
    """What a process printed, and what the guard logged."""

    stdout: str
    stderr: str
    code: int
    log: GuardLog
    events: list[dict[str, Any]]


Guarded: TypeAlias = Callable[..., Done]  # takes code and settings of the guard


def guarded(
    directory: Path,
    code: str,
    *,
    python: str = sys.executable,
    first: str = "",
    env: Mapping[str, str] | None = None,
    **settings: Any,
) -> Done:
    """Run ``code`` under the guard, with its ``settings``; ``first`` runs before the guard."""
    report = directory / "guard.jsonl"
    asked = guard_request.Settings(report=report, **{"mode": "respect", **settings})
    script = directory / "script.py"
    script.write_text(first + INSTALL + code)
    done = subprocess.run(
        [python, script],
        env={**os.environ, **asked.environment(), **(env or {})},
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    lines = report.read_text().splitlines() if report.exists() else []
    events = [json.loads(line) for line in lines]
    return Done(done.stdout, done.stderr, done.returncode, read_guard_log.read(report), events)
