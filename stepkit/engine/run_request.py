"""What is to be executed, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from stepkit.engine.cell_events import Tolerances
from stepkit.notebook.verdict import Execution


@dataclass(frozen=True, kw_only=True)
class Request:
    """A notebook that is ready to run; times are in seconds, None is no limit.

    ``checkpoint_interval`` and ``heartbeat`` may be 0 for none, ``cell_output_limit`` is in bytes.
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
    stdout_file: IO[str] | None = None
    stderr_file: IO[str] | None = None
    tolerances: Tolerances | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How it ended; ``notebook`` is the executed one, with papermill's marks.

    ``strays`` describes the processes that it left running.
    """

    execution: Execution
    notebook: Any
    strays: tuple[str, ...] = ()
