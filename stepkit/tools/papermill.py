"""Execute a notebook, through papermill, and record what the kernel itself answered."""

from __future__ import annotations

import logging
import math
import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT
from typing import IO, TYPE_CHECKING, Any, Final

from stepkit.errors import Cancelled, ConfigurationError, Reason, ToolError
from stepkit.tools import cgroup, files, notebook
from stepkit.tools.cells import OUTPUT_SECONDS, Watch, printed_lines
from stepkit.verdict import Ending, Execution

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

# What ipykernel says of every local kernel, and no reader of a log can act on.
_NOISE: Final = (
    "Kernel is running over TCP without encryption",
    "Debugger warning:",
    "NOTE: When using",
)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to execute, in papermill's terms; times are in seconds, None is no limit."""

    notebook: Path
    output: Path
    parameters: Mapping[str, Any]
    kernel: str
    language: str
    cwd: Path
    log_output: bool
    progress_bar: bool
    report_mode: bool
    start_timeout: float
    execution_timeout: float | None
    run_timeout: float | None
    autosave_cell_every: int
    stdout_file: Path | None
    stderr_file: Path | None


def execute(request: Request) -> Execution:
    """Execute the notebook and return what the kernel answered; the output file is written.

    Cell errors, dead kernels, time limits and signals are told in the result, not raised. Raises
    :class:`ToolError` when the kernel does not start or the disk is full.
    """
    watch = Watch(execution_timeout=request.execution_timeout, run_timeout=request.run_timeout)
    kills = cgroup.oom_kills() or 0
    # A signal ends asyncio's tasks midway; what they then say of it is about no fault.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    cancelled_by = None
    try:
        with notebook.quiet(), _kernel_log() as kernel_log:
            _run(request, watch, kernel_log)
    except KeyboardInterrupt as stop:
        watch.stop(Ending.CANCELLED)
        cancelled_by = stop.signum if isinstance(stop, Cancelled) else SIGINT
    finally:
        if watch.notebook is not None:
            watch.make_statuses_true()
            notebook.write(watch.notebook, request.output)
    return Execution(
        cells=tuple(watch.plan.values()),
        ending=watch.ending,
        cancelled_by=cancelled_by,
        exit_code=watch.process.returncode if watch.process else None,
        limit=watch.limit,
        oom_kills=(cgroup.oom_kills() or 0) - kills,
        memory_limit=cgroup.memory_limit(),
    )


def _run(request: Request, watch: Watch, kernel_log: IO[str]) -> None:
    """Call papermill, and note how it ended instead of raising."""
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    try:
        _call_papermill(request, watch, kernel_log)
    except PapermillExecutionError:
        pass  # the kernel's replies say which cell, and whether its author expected the error
    except DeadKernelError:
        watch.stop(Ending.KERNEL_DIED)
    except CellTimeoutError as error:
        watch.timed_out(str(error))
    except OSError as error:  # saving raises a StepError of its own
        raise ConfigurationError(
            f"kernel {request.kernel!r} cannot be started: {error.strerror}: {error.filename}"
        ) from error
    except RecursionError as error:
        raise ConfigurationError("a parameter holds itself, or nests too deep") from error
    except (RuntimeError, TimeoutError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        slow = isinstance(error, TimeoutError) or "didn't respond" in said
        raise ToolError(
            f"kernel {request.kernel!r} did not start: {said}",
            reason=Reason.TIMEOUT if slow else Reason.KERNEL_DIED,
        ) from error


def _call_papermill(request: Request, watch: Watch, kernel_log: IO[str]) -> None:
    import papermill
    from papermill.engines import papermill_engines
    from papermill.iorw import papermill_io

    papermill_engines.register("stepkit", _engine(request, watch, kernel_log))
    papermill_io.register("/", _whole_files())  # all our paths are absolute
    with ExitStack() as stack:
        papermill.execute_notebook(
            _literal(request.notebook),
            _literal(request.output),
            parameters=dict(request.parameters),
            engine_name="stepkit",
            kernel_name=request.kernel,
            language=request.language,
            progress_bar=request.progress_bar,
            log_output=request.log_output,
            report_mode=request.report_mode,
            cwd=str(request.cwd),
            start_timeout=_start_timeout(request),
            autosave_cell_every=request.autosave_cell_every,
            stdout_file=_opened(stack, request.stdout_file),
            stderr_file=_opened(stack, request.stderr_file),
            timeout_func=watch.timeout,
            iopub_timeout=OUTPUT_SECONDS,
            on_cell_execute=watch.cell_execute,
            on_cell_executed=watch.cell_executed,
        )


def _start_timeout(request: Request) -> int:
    """Return the whole seconds that nbclient wants; the run's own limit holds here, too."""
    return math.ceil(min(request.start_timeout, request.run_timeout or request.start_timeout))


def _whole_files() -> Any:
    """Make papermill's saves all or nothing: its own truncate the file before they write."""
    from pathlib import Path

    from papermill.iorw import LocalHandler

    class WholeFiles(LocalHandler):  # type: ignore[misc] # papermill is untyped
        def write(self, text: str, path: str) -> None:
            files.write_atomically(Path(path), text, durable=False)

    return WholeFiles()


def _engine(request: Request, watch: Watch, kernel_log: IO[str]) -> Any:
    """Make papermill's own engine tell us the cells it will run and the kernel's process."""
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine
    from papermill.log import logger as papermill_logger

    class Client(PapermillNotebookClient):  # type: ignore[misc] # papermill is untyped
        def start_new_kernel_client(self) -> Any:
            watch.process = getattr(self.km.provisioner, "process", None)
            return super().start_new_kernel_client()

        def log_output_message(self, output: Any) -> None:
            self.log_output = False  # leaves it to write stdout_file and stderr_file
            super().log_output_message(output)
            self.log_output = request.log_output
            if request.log_output:
                for line in printed_lines(output):
                    logger.info("| %s", line)

        def papermill_execute_cells(self) -> None:
            self.nb_man.log_output = False  # no line for each cell, markdown cells included
            try:
                super().papermill_execute_cells()
            except BaseException:
                self.shutdown_kernel = "immediate"  # it is busy, dead, or not wanted any more
                raise

    class Engine(NBClientEngine):  # type: ignore[misc] # papermill is untyped
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
            watch.begin(nb_man.nb)
            for name in ("input_path", "execution_timeout"):
                options.pop(name, None)
            options["startup_timeout"] = options.pop("start_timeout")
            client = Client(nb_man, kernel_name=kernel_name, log=papermill_logger, **options)
            return client.execute(stdout=kernel_log, stderr=kernel_log)

    return Engine


@contextmanager
def _kernel_log() -> Iterator[IO[str]]:
    """Yield a file for what the kernel's process itself prints, and log it afterwards."""
    with tempfile.TemporaryFile("w+", errors="replace") as file:
        try:
            yield file
        finally:
            with suppress(OSError):
                file.seek(0)
                for line in file:
                    if line.strip() and not any(noise in line for noise in _NOISE):
                        logger.warning("kernel: %s", line.rstrip())


def _opened(stack: ExitStack, path: Path | None) -> IO[str] | None:
    if path is None:
        return None
    with files.explaining(f"cannot write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        return stack.enter_context(path.open("w"))


def _literal(path: Path) -> str:
    """Spell a path so that papermill's ``str.format`` leaves it as it is."""
    return os.fspath(path).replace("{", "{{").replace("}", "}}")
