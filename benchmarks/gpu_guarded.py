"""The guard in a process of its own, where the notebook sets RMM up as single-cell notebooks do."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks import gpu_ladder, gpu_workloads
from benchmarks.gpu_outcome import attempted, library

if TYPE_CHECKING:
    from collections.abc import Mapping

# What is asked of the guard, by the name of the row.
ASKED: Final[Mapping[str, Mapping[str, Any]]] = {
    "guard off": {"rmm_mode": "off"},
    "guard respect": {},
    "guard cuda": {"rmm_mode": "cuda"},
    "guard pool": {"rmm_mode": "pool", "rmm_pool_size": "8GiB"},
    "guard async": {"rmm_mode": "async", "rmm_pool_size": "8GiB"},
}
OVER_BUDGET: Final = {
    "rmm_mode": "pool",
    "rmm_pool_size": "512MiB",
    "rmm_maximum_pool_size": "1GiB",
    "rmm_overflow": "2560MiB",
}


def guarded(asked: str, quick: str) -> dict[str, Any]:
    """Time all workloads in a guarded process, as one of :data:`ASKED`."""
    with tempfile.TemporaryDirectory(prefix="stepkit-gpu-") as directory:
        report = Path(directory, "guard.jsonl")
        _set_up(ASKED[asked], report)
        found = gpu_workloads.measured(quick == "True")
        return {**found, "told": _facts(report)}


def over_budget() -> dict[str, Any]:
    """Run three GiB of arrays on a guarded pool of at most one, and the host's memory."""
    with tempfile.TemporaryDirectory(prefix="stepkit-gpu-") as directory:
        report = Path(directory, "guard.jsonl")
        _set_up(OVER_BUDGET, report)
        alive: list[Any] = []
        outcome = attempted(lambda: gpu_ladder.summed(alive))
        return {"outcome": outcome, "arrays": len(alive), "told": _facts(report)}


def _set_up(asked: Mapping[str, Any], report: Path) -> None:
    """Guard this process, then do what the first cell of such a notebook does."""
    from stepkit.gpu.memory.guard_request import settings
    from stepkit.gpu.step_options import GpuOptions
    from stepkit.kernel import gpu_memory

    os.environ |= settings(GpuOptions(**asked), report).environment()
    gpu_memory.install()
    rmm, cupy = library("rmm"), library("cupy")
    rmm.reinitialize(managed_memory=False, pool_allocator=False, devices=0)
    cupy.cuda.set_allocator(library("rmm.allocators.cupy").rmm_cupy_allocator)


def _facts(report: Path) -> dict[str, Any]:
    from stepkit.gpu.memory.read_guard_log import read

    told = read(report)
    return {"active": told.active, "allocator": told.allocator, "warnings": told.warnings}
