"""The checks: what each proves, what it wants, how long it may take, and how it is run."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import process
from benchmarks.gpu import worker
from benchmarks.gpu.allocators import ALLOCATION_HEAVY, GUARDED, NOTEBOOKS_OWN
from benchmarks.gpu_verify import judging
from benchmarks.gpu_verify.judging import Findings, Judge

_SET_UP: Final = """\
import time
import cupy as cp
import rmm
from rmm.allocators.cupy import rmm_cupy_allocator
rmm.reinitialize(managed_memory=False, pool_allocator=False, devices=0)
cp.cuda.set_allocator(rmm_cupy_allocator)
"""
_THREE_GIB: Final = "alive = [cp.full(64 << 20, n, dtype=cp.float32) for n in range(1, 13)]\n"
_SUM: Final = "print('sum', sum(float(a[: 1 << 20].sum()) for a in alive))\n"
_RIGHT: Final = f"sum {float(sum(range(1, 13)) << 20)}"
_ONE_GIB: Final = """\
x = cp.zeros(1 << 28, dtype=cp.float32)
until = time.time() + 2
while time.time() < until:
    x += 1
    cp.cuda.runtime.deviceSynchronize()
"""
_BUDGET: Final = (
    *("--rmm-mode", "pool", "--rmm-pool-size", "512MiB"),
    *("--rmm-maximum-pool-size", "1GiB"),
)
# What each mode must be called in the guard's log.
_MODES: Final = {
    "respect": "plain CUDA",
    "cuda": "plain CUDA",
    "pool": "pool",
    "async": "CUDA's async pool",
    "managed": "managed memory",
}
# Mode, other mode, and how many times as long the first may, or must, take.
_RATIOS: Final[tuple[tuple[str, str, float | None, float | None], ...]] = (
    (NOTEBOOKS_OWN, "rmm-pool", 10.0, None),
    (NOTEBOOKS_OWN, "guard pool", 10.0, None),
    ("rmm-pool+statistics", "rmm-pool", None, 1.05),
    ("guard respect", "guard off", None, 1.05),
)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing to prove: ``run`` takes the seconds that it has, ``judge`` what that returned."""

    name: str
    proves: str
    wanted: str
    limit: float
    run: Callable[[float], Findings]
    judge: Judge


def checks(directory: Path) -> Iterator[Check]:
    """Yield all checks, the shortest first; they write into ``directory``."""
    yield from _preflight(directory)
    yield from _guard()
    yield from _notebooks(directory)
    yield Check(
        name="sampler",
        proves="Watching a run at five samples a second leaves the processor to the notebook.",
        wanted="at most 0.5 % of a core",
        limit=60.0,
        run=lambda limit: worker.call("sampler", 3, limit=limit),
        judge=judging.of_sampler,
    )
    for over, under, least, most in _RATIOS:
        bound = f"at least {least:g}" if least else f"at most {most:g}"
        yield Check(
            name=f"allocations: {over}, beside {under}",
            proves="What pools gain and what the guard costs where a notebook allocates much.",
            wanted=f"{bound} times the time of the second",
            limit=90.0,
            run=lambda limit, modes=(over, under): _measure(modes, limit),  # type: ignore[misc]
            judge=judging.of_ratio(ALLOCATION_HEAVY, least=least, most=most),
        )


def _preflight(directory: Path) -> Iterator[Check]:
    for name, seconds in (("cold", 60.0), ("warm", 5.0)):
        yield Check(
            name=f"preflight: {name}",
            proves="check-environment finds the GPU, and asks driver, CuPy and RMM in time.",
            wanted=f"exit 0 within {seconds:g} s",
            limit=seconds + 30.0,  # what takes longer than is wanted fails, and is not lost
            run=lambda limit: _check_environment(directory, limit),
            judge=judging.of_command(code=0, reason="ok", seconds=seconds),
        )
    yield Check(
        name="preflight: --rmm-test 1GiB",
        proves="RMM, its pool and CuPy's allocator work together, outside of any notebook.",
        wanted="exit 0",
        limit=60.0,
        run=lambda limit: _check_environment(directory, limit, "--rmm-test=1GiB"),
        judge=judging.of_command(code=0, reason="ok"),
    )
    yield Check(
        name="preflight: hidden GPU",
        proves="A GPU that a variable hides is reported as missing, before a notebook starts.",
        wanted="exit 2, gpu-missing",
        limit=30.0,
        run=lambda limit: _check_environment(directory, limit, CUDA_VISIBLE_DEVICES=""),
        judge=judging.of_command(code=2, reason="gpu-missing"),
    )


def _guard() -> Iterator[Check]:
    for mode, allocator in _MODES.items():
        yield Check(
            name=f"guard: --rmm-mode {mode}",
            proves="The guard sets up the allocator that the user chose, and arrays are correct.",
            wanted=f"the right sum from {allocator}, without a lower rung or a warning",
            limit=45.0,
            run=lambda limit, mode=mode: worker.call("guarded-sum", mode, limit=limit),  # type: ignore[misc]
            judge=judging.of_guarded(allocator=allocator),
        )
    yield Check(
        name="guard: no device",
        proves="Without a device the guard names CUDA's error, in place of RMM's about 'msg'.",
        wanted="GpuMissing with cudaErrorNoDevice",
        limit=30.0,
        run=lambda limit: worker.call(
            "guarded-no-device", limit=limit, env={"CUDA_VISIBLE_DEVICES": ""}
        ),
        judge=judging.of_no_device,
    )
    yield Check(
        name="guard: a pool of four times the GPU",
        proves="A pool that does not fit is replaced by a lower rung, and RMM stays whole.",
        wanted="the right sum from a lower rung",
        limit=45.0,
        run=lambda limit: worker.call("guarded-large-pool", limit=limit),
        judge=judging.of_guarded(lowered=True),
    )
    yield Check(
        name="guard: 3 GiB on a budget of 1, with --rmm-overflow",
        proves="Arrays beyond the pool's limit get memory that CUDA may move to the host.",
        wanted="the right sum, from 3 GiB of managed memory",
        limit=60.0,
        run=lambda limit: worker.call("guarded-over-budget", limit=limit),
        judge=judging.of_overflow,
    )


def _notebooks(directory: Path) -> Iterator[Check]:
    cells = (_SET_UP, _THREE_GIB, _SUM)
    yield Check(
        name="notebook: out of memory",
        proves="A cell that fills the GPU ends the run as the user's error, with that reason.",
        wanted="exit 3, gpu-out-of-memory",
        limit=60.0,
        run=lambda limit: _execute(directory / "full", cells, *_BUDGET, limit=limit),
        judge=judging.of_command(code=3, reason="gpu-out-of-memory"),
    )
    yield Check(
        name="notebook: --on-gpu-oom retry-lower",
        proves="The same notebook gets through with an allocator that needs less.",
        wanted="exit 0 on a later attempt, with the right sum",
        limit=120.0,
        run=lambda limit: _execute(
            directory / "lower", cells, *_BUDGET, "--on-gpu-oom", "retry-lower", limit=limit
        ),
        judge=judging.of_lower_attempt(_RIGHT),
    )
    yield Check(
        name="notebook: timeline",
        proves="The peak of each cell is what that cell took, as driver and RMM count it.",
        wanted="1 to 2 GiB for a cell that takes 1",
        limit=60.0,
        run=lambda limit: _execute(
            directory / "timeline", (_SET_UP, _ONE_GIB), "--gpu", "required", limit=limit
        ),
        judge=judging.of_timeline,
    )


def _measure(modes: tuple[str, str], limit: float) -> Findings:
    began, runs = time.monotonic(), []
    for mode in modes:
        name = "guarded" if mode in GUARDED else "allocate"
        left = limit - (time.monotonic() - began)
        run = worker.call(name, mode, ALLOCATION_HEAVY, "True", limit=max(left, 0.0))
        runs.append({"mode": mode, **run})
    return {"runs": runs}


def _check_environment(directory: Path, limit: float, *flags: str, **env: str) -> Findings:
    report = directory / "check-environment.json"
    command = ("check-environment", "--gpu=required", *flags)
    return _stepkit(*command, report=report, limit=limit, env=env)


def _execute(directory: Path, cells: tuple[str, ...], *flags: str, limit: float) -> Findings:
    """Run a notebook of ``cells``; ``printed`` are the texts of its outputs."""
    import nbformat

    directory.mkdir(parents=True, exist_ok=True)
    source, executed = directory / "in.ipynb", directory / "out.ipynb"
    nbformat.write(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells]), source
    )
    command = ("execute-notebook", f"--notebook={source}", f"--output={executed}")
    report = directory / "report.json"
    found = _stepkit(*command, "--kernel=python3", *flags, report=report, limit=limit)
    outputs = [
        output
        for cell in (nbformat.read(executed, 4).cells if executed.exists() else ())
        for output in cell.get("outputs", ())
    ]
    return {**found, "printed": "".join(output.get("text", "") for output in outputs)}


def _stepkit(
    *command: str, report: Path, limit: float, env: dict[str, str] | None = None
) -> Findings:
    report.unlink(missing_ok=True)
    # Without -P Python finds stepkit in the directory that it starts in, installed or not.
    words = (sys.executable, "-m", "stepkit", *command, f"--report={report}")
    done = process.run(words, env={**os.environ, **(env or {})}, limit=limit)
    seconds = round(done.usage.wall, 3)
    if done.code is None:
        return {"error": f"took more than {limit:g} s", "lost": True, "seconds": seconds}
    if not report.exists():  # such as for a package that stepkit needs and that is not here
        return {"error": done.problem, "lost": True, "seconds": seconds}
    written = json.loads(report.read_text())
    return {"code": done.code, "seconds": seconds, "report": written, "said": done.output[-600:]}
