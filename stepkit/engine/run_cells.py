"""Start a kernel, prepare a notebook as papermill does, and run its cells."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, ClassVar, Final

from stepkit.engine import read_accelerated_calls, read_kernel_facts
from stepkit.engine.cell_events import Tolerances
from stepkit.engine.progress_file import ProgressFile
from stepkit.engine.read_kernel_facts import KernelFacts
from stepkit.engine.resumable import NOTEBOOK
from stepkit.errors import Cancelled, ConfigurationError
from stepkit.notebook import ipynb
from stepkit.notebook import parameters as notebook_parameters
from stepkit.notebook.cpu_fallback import CpuFallback
from stepkit.notebook.verdict import CellRun, Execution
from stepkit.options import DETAIL
from stepkit.step import Checks, Resumable
from stepkit.system import nvml, stop_requests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.engine.kernel_process import Kernel
    from stepkit.system.process_tree import Descendants

logger = logging.getLogger(__name__)

_GPU_SECONDS: Final = 2.0  # until a driver has taken back what a dead process held
_GPU_SLACK: Final = 64 * 2**20  # bytes; contexts of other processes come and go


@dataclass(frozen=True, kw_only=True)
class Request:
    """A notebook that is ready to run; times are in seconds, None means no limit.

    ``checkpoint_interval`` and ``heartbeat`` may be 0 for none, ``cell_output_limit`` is in bytes.
    With ``kernel_counts``, ``In [n]`` counts injected cells, too, and not the skipped ones.
    ``progress`` is the file that is kept up to date while cells run.
    """

    notebook: Any
    output: Path | None
    log_output: bool = False
    progress_bar: bool = False
    start_timeout: float = 60.0
    execution_timeout: float | None = None
    run_timeout: float | None = None
    hang_timeout: float | None = None
    checkpoint_interval: float = 5.0
    heartbeat: float = 30.0
    cell_output_limit: int | None = None
    kernel_counts: bool = False
    stdout_file: IO[str] | None = None
    stderr_file: IO[str] | None = None
    tolerances: Tolerances | None = None
    progress: ProgressFile | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended; ``notebook`` is the executed one, with papermill's metadata.

    ``strays`` describes the processes that it left running; ``kernel_facts`` is None for a kernel
    that stepkit's launcher did not start, or that died in its first cell. ``cpu_fallback`` is None
    if no call of cudf.pandas or cuml.accel was counted.
    """

    execution: Execution
    notebook: Any
    strays: tuple[str, ...] = ()
    kernel_facts: KernelFacts | None = None
    cpu_fallback: CpuFallback | None = None


@dataclass(frozen=True, kw_only=True)
class RunOutputs:
    """Outputs of a step that runs a notebook: the cells, and what the kernel left."""

    resumable: ClassVar[Resumable] = NOTEBOOK

    junit: Annotated[Path | None, "absolute path of the JUnit file"] = None
    test_output: Annotated[Checks | None, "counts of cells as Konflux reads them, JSON"] = None
    cells: Annotated[tuple[CellRun, ...], "each code cell", DETAIL] = ()
    strays: Annotated[tuple[str, ...], "processes that the notebook left running", DETAIL] = ()
    messages_lost: Annotated[int, "messages of the kernel that never arrived", DETAIL] = 0
    zero: Annotated[str, "when the run began: cells and timeline count from it", DETAIL] = ""
    memory_limit: Annotated[int | None, "the container's limit in bytes", DETAIL] = None
    kernel_facts: Annotated[KernelFacts | None, "packages, Python and CUDA in it", DETAIL] = None
    cpu_fallback: Annotated[
        CpuFallback | None, "calls of cudf.pandas and cuml.accel on the CPU", DETAIL
    ] = None
    parameters: Annotated[
        Mapping[str, Any],
        "what was injected; *** for a value whose name is that of a secret",
        DETAIL,
    ] = field(default_factory=dict)


def run_outputs(outcome: Outcome) -> dict[str, Any]:
    """Return the fields of :class:`RunOutputs` of a run that has ended."""
    execution = outcome.execution
    return {
        "cells": tuple(execution.cells),
        "test_output": execution.checks(),
        "strays": outcome.strays,
        "messages_lost": execution.messages_lost,
        "zero": execution.zero,
        "memory_limit": execution.memory_limit,
        "kernel_facts": outcome.kernel_facts,
        "cpu_fallback": outcome.cpu_fallback,
        "parameters": notebook_parameters.for_report(
            outcome.notebook.metadata.get("papermill", {}).get("parameters", {})
        ),
    }


class RunningKernel:
    """A kernel that boots, and all processes that it will start."""

    def __init__(self, kernel: Kernel, descendants: Descendants) -> None:
        self.kernel = kernel
        self.descendants = descendants


@contextmanager
def start_kernel(
    name: str, cwd: Path, env: Mapping[str, str] | None = None
) -> Iterator[RunningKernel]:
    """Start a kernel that boots while its notebook is prepared, and end all it started.

    ``env`` is added to the environment that it inherits.
    Raises :class:`~stepkit.errors.StepError` when the kernel's program cannot be started.
    """
    from stepkit.engine import kernel_process
    from stepkit.system.process_tree import Descendants

    descendants = Descendants()
    try:
        with kernel_process.start(name, cwd, env) as kernel:
            yield RunningKernel(kernel, descendants)
    finally:
        descendants.close()


def prepare_notebook(
    nb: Any,
    parameters: Mapping[str, Any],
    *,
    source: Path,
    output: Path,
    kernel: str,
    language: str,
    report_mode: bool,
) -> Any:
    """Return ``nb`` as papermill would execute it: parameters injected, metadata as it writes it.

    Raises :class:`ConfigurationError` when a parameter cannot be written as code.
    """
    from papermill.execute import prepare_notebook_metadata, remove_error_markers
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs = []  # they would only be copied, and dropped at the start
    with ipynb.ignoring_missing_ids():
        ready = load_notebook_node(nb)
    if parameters:
        try:
            ready = parameterize_notebook(
                ready, dict(parameters), report_mode, kernel_name=kernel, language=language
            )
        except RecursionError as error:
            raise ConfigurationError("a parameter holds itself, or nests too deep") from error
    ready = prepare_notebook_metadata(ready, str(source), str(output), report_mode)
    return remove_error_markers(ready)


def execute(request: Request, running: RunningKernel) -> Outcome:
    """Execute the notebook and return what the kernel replied; the output file is written.

    The outcome says which cells failed, and whether the kernel died, a time limit passed or a
    signal came. Raises :class:`~stepkit.errors.ToolError` when the kernel does not start or the
    disk is full, and :class:`Cancelled` when a signal came before the first cell.
    """
    import asyncio

    from stepkit.engine.run import Session

    # nbclient's tasks end with the run: asyncio would log that their results were not read.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    kernel = running.kernel
    session = Session(request, kernel)
    gpu_before = nvml.read_memory()  # when the check of the GPU, which takes some, has ended
    try:
        kernel.runner.run(session.run())
    except asyncio.CancelledError:
        raise Cancelled(session.state.cancelled_by or signal.SIGINT) from None
    finally:
        kernel.log_lines()
    execution, fallback = read_accelerated_calls.add(session.execution(), kernel.calls_file)
    try:
        running.descendants.end()
        _warn_of_gpu_memory(gpu_before)
    except KeyboardInterrupt as stop:  # the notebook is saved: what is known of it is not lost
        stop_requests.take()
        signum = stop.signum if isinstance(stop, Cancelled) else signal.SIGINT
        execution = replace(execution, cancelled_by=signum)
    strays = tuple(running.descendants.strays)
    return Outcome(
        execution=execution,
        notebook=session.nb,
        strays=strays,
        kernel_facts=read_kernel_facts.read(kernel.facts_file),
        cpu_fallback=fallback,
    )


def _warn_of_gpu_memory(before: tuple[int, int] | None) -> None:
    """Warn of GPU memory that is still in use after the run: the next run cannot have it."""
    until = time.monotonic() + _GPU_SECONDS
    while before and (after := nvml.read_memory()) and after[0] - before[0] > _GPU_SLACK:
        if time.monotonic() >= until:
            more = (after[0] - before[0]) / 2**30
            logger.warning("GPU memory: %.1f GiB more in use than before the run", more)
            return
        time.sleep(_GPU_SECONDS / 10)
