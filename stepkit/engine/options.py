"""Flags for the limits of a run, its log and its saves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from stepkit.engine.run_cells import Request
from stepkit.options import DURATION, OR_NO, WRITES, Also, AtLeast
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from contextlib import ExitStack

    from stepkit.engine.cell_events import Tolerances


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Flags for the limits of a run, its log and its saves."""

    heading: ClassVar[str] = "limits, log and saves"

    log_output: Annotated[
        bool, "log what cells print, as it comes", Also("--log_output"), OR_NO
    ] = False
    progress_bar: Annotated[bool, "show papermill's bar instead of the status line", OR_NO] = False
    start_timeout: Annotated[
        float, "limit for the kernel's start", DURATION, Also("--start_timeout")
    ] = 60.0
    execution_timeout: Annotated[float | None, "limit for each cell; 0 is none", DURATION] = None
    run_timeout: Annotated[float | None, "limit for the whole notebook; 0 is none", DURATION] = None
    hang_timeout: Annotated[
        float | None,
        "end a cell that prints nothing and uses neither CPU nor GPU for so long",
        DURATION,
    ] = None
    heartbeat: Annotated[float, "time between lines on a running cell; 0 is none", DURATION] = 30.0
    autosave_cell_every: Annotated[int, "seconds between saves; 0 is none", AtLeast(0)] = 5
    cell_output_limit: Annotated[
        int | None, "megabytes of outputs a cell may keep; the whole goes to files", AtLeast(1)
    ] = None
    stdout_file: Annotated[Path | None, "file for what cells print to stdout", WRITES] = None
    stderr_file: Annotated[Path | None, "file for what cells print to stderr", WRITES] = None
    junit: Annotated[Path | None, "JUnit file with a test case for each cell", WRITES] = None


def open_request(
    options: EngineOptions,
    notebook: Any,
    output: Path,
    tolerances: Tolerances,
    stack: ExitStack,
) -> Request:
    """Return the run of ``notebook`` that ``options`` ask for.

    The files that it opens are closed with ``stack``. Raises
    :class:`~stepkit.errors.StepError` when one cannot be opened.
    """
    megabytes = options.cell_output_limit
    return Request(
        notebook=notebook,
        output=output.absolute(),
        log_output=options.log_output,
        progress_bar=options.progress_bar,
        start_timeout=options.start_timeout,
        execution_timeout=options.execution_timeout or None,
        run_timeout=options.run_timeout or None,
        hang_timeout=options.hang_timeout or None,
        checkpoint_interval=options.autosave_cell_every,
        heartbeat=options.heartbeat,
        cell_output_limit=megabytes and megabytes * 10**6,
        stdout_file=atomic_files.opened(stack, options.stdout_file),
        stderr_file=atomic_files.opened(stack, options.stderr_file),
        tolerances=tolerances,
    )
