"""Execute a notebook, through papermill, and record what the kernel itself answered."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGINT
from typing import IO, TYPE_CHECKING, Any, Final

from stepkit.errors import Cancelled, Reason, ToolError
from stepkit.tools import cgroup, files, notebook
from stepkit.verdict import CellRun, CellStatus, Ending, Execution

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

logger = logging.getLogger(__name__)
progress = logging.getLogger("stepkit.progress")

# Seconds that outputs may take to arrive after the kernel's reply. nbclient's own 4 s is a total
# and fails on one large output.
_OUTPUT_SECONDS: Final = 120

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


@dataclass(kw_only=True)
class _Watch:
    """What happened so far, told by the hooks of nbclient."""

    request: Request
    started: float = field(default_factory=time.monotonic)
    notebook: Any = None
    process: Any = None
    ending: Ending = Ending.FINISHED
    limit: float | None = None
    plan: dict[int, CellRun] = field(default_factory=dict)
    running: int | None = None
    clock: float = 0.0

    def begin(self, nb: Any) -> None:
        self.notebook = nb
        self.plan = {cell.index: cell for cell in _plan(nb)}

    def cell_execute(self, cell: Any, cell_index: int) -> None:  # noqa: ARG002 - nbclient's names
        self.running, self.clock = cell_index, time.monotonic()
        planned = self.plan[cell_index]
        progress.info("%s: %s", self._place(planned), planned.first_line)

    def cell_executed(self, cell: Any, cell_index: int, execute_reply: Any) -> None:
        self.running = None
        content = execute_reply["content"]
        planned = self.plan[cell_index]
        known = _status(content["status"], cell.metadata.get("tags", []))
        self.plan[cell_index] = replace(
            planned,
            status=known,
            seconds=round(time.monotonic() - self.clock, 3),
            ename=str(content.get("ename", "")),
            evalue=str(content.get("evalue", "")),
        )
        progress.info(
            "%s: %s in %.1f s", self._place(planned), known, self.plan[cell_index].seconds
        )

    def timeout(self, _cell: Any = None) -> float | None:
        """Return how many seconds the next cell may take: nbclient asks before each."""
        limits = {Ending.CELL_TIMEOUT: self.request.execution_timeout}
        if self.request.run_timeout is not None:
            left = self.started + self.request.run_timeout - time.monotonic()
            limits[Ending.RUN_TIMEOUT] = max(left, 0.001)  # 0 would mean no limit
        set_limits = {ending: limit for ending, limit in limits.items() if limit is not None}
        return min(set_limits.values(), default=None)

    def stop(self, ending: Ending) -> None:
        """Note that the execution ended before its time; the running cell is the one it hit."""
        self.ending = ending
        if self.running is not None:
            seconds = round(time.monotonic() - self.clock, 3)
            stopped = replace(self.plan[self.running], status="stopped", seconds=seconds)
            self.plan[self.running] = stopped

    def _place(self, cell: CellRun) -> str:
        total = sum(1 for other in self.plan.values() if other.number)
        return f"cell {cell.number}/{total}" if cell.number else "parameters"


def execute(request: Request) -> Execution:
    """Execute the notebook and return what the kernel answered; the output file is written.

    Cell errors, dead kernels, time limits and signals are told in the result, not raised. Raises
    :class:`ToolError` when the kernel does not start or the disk is full.
    """
    watch = _Watch(request=request)
    kills = cgroup.oom_kills() or 0
    cancelled_by = None
    try:
        with notebook.quiet(), _kernel_log() as kernel_log:
            _run(watch, kernel_log)
    except KeyboardInterrupt as stop:
        watch.stop(Ending.CANCELLED)
        cancelled_by = stop.signum if isinstance(stop, Cancelled) else SIGINT
    finally:
        if watch.notebook is not None:
            _write_truth(watch)
    return Execution(
        cells=tuple(watch.plan.values()),
        ending=watch.ending,
        cancelled_by=cancelled_by,
        exit_code=watch.process.returncode if watch.process else None,
        limit=watch.limit,
        oom_kills=(cgroup.oom_kills() or 0) - kills,
        memory_limit=cgroup.memory_limit(),
    )


def _run(watch: _Watch, kernel_log: IO[str]) -> None:
    """Call papermill, and note how it ended instead of raising."""
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    try:
        _call_papermill(watch, kernel_log)
    except PapermillExecutionError:
        pass  # the kernel's replies say which cell, and whether its author expected the error
    except DeadKernelError:
        watch.stop(Ending.KERNEL_DIED)
    except CellTimeoutError as error:
        _note_timeout(watch, str(error))
    except OSError as error:
        raise files.os_error(f"cannot save {watch.request.output}", error) from error
    except (RuntimeError, TimeoutError) as error:
        raise ToolError(
            f"kernel {watch.request.kernel!r} did not start: {str(error).splitlines()[0]}",
            reason=Reason.KERNEL_DIED,
        ) from error


def _call_papermill(watch: _Watch, kernel_log: IO[str]) -> None:
    import papermill
    from papermill.engines import papermill_engines
    from papermill.iorw import papermill_io

    request = watch.request
    papermill_engines.register("stepkit", _engine(watch, kernel_log))
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
            start_timeout=request.start_timeout,
            autosave_cell_every=request.autosave_cell_every,
            stdout_file=_opened(stack, request.stdout_file),
            stderr_file=_opened(stack, request.stderr_file),
            timeout_func=watch.timeout,
            iopub_timeout=_OUTPUT_SECONDS,
            on_cell_execute=watch.cell_execute,
            on_cell_executed=watch.cell_executed,
        )


def _whole_files() -> Any:
    """Make papermill's saves all or nothing: its own truncate the file before they write."""
    from pathlib import Path

    from papermill.iorw import LocalHandler

    class WholeFiles(LocalHandler):  # type: ignore[misc] # papermill is untyped
        def write(self, text: str, path: str) -> None:
            files.write_atomically(Path(path), text, durable=False)

    return WholeFiles()


def _status(replied: str, tags: Sequence[str]) -> CellStatus:
    if replied == "ok":
        return "ok"
    if replied != "error":  # "aborted": the kernel refused to run it
        return "not-run"
    return "expected-error" if "raises-exception" in tags else "error"


def _engine(watch: _Watch, kernel_log: IO[str]) -> Any:
    """Make papermill's own engine tell us the cells it will run and the kernel's process."""
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine
    from papermill.log import logger as papermill_logger

    class Client(PapermillNotebookClient):  # type: ignore[misc] # papermill is untyped
        def start_new_kernel_client(self) -> Any:
            watch.process = getattr(self.km.provisioner, "process", None)
            return super().start_new_kernel_client()

        def papermill_execute_cells(self) -> None:
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


def _plan(nb: Any) -> Iterator[CellRun]:
    """Yield the cells that a kernel will be asked to run, as nbclient chooses them."""
    number = 0
    for index, cell in enumerate(nb.cells):
        tags = cell.metadata.get("tags", [])
        if cell.cell_type != "code" or not cell.source.strip() or "skip-execution" in tags:
            continue
        injected = "injected-parameters" in tags
        number += not injected
        yield CellRun(
            number=0 if injected else number,
            index=index,
            id=cell.get("id", ""),
            first_line=notebook.first_line(cell.source),
        )


def _note_timeout(watch: _Watch, message: str) -> None:
    request = watch.request
    elapsed = time.monotonic() - watch.started
    if "IOPub" in message:
        watch.limit = _OUTPUT_SECONDS
        watch.stop(Ending.OUTPUT_TIMEOUT)
    elif request.run_timeout is not None and elapsed >= request.run_timeout:
        watch.limit = request.run_timeout
        watch.stop(Ending.RUN_TIMEOUT)
    else:
        watch.limit = request.execution_timeout
        watch.stop(Ending.CELL_TIMEOUT)


def _write_truth(watch: _Watch) -> None:
    """Write the output once more, its statuses made true.

    papermill marks every cell of a killed kernel "completed", also those that never ran.
    """
    from papermill.execute import ERROR_MARKER_TAG, remove_error_markers

    nb = watch.notebook
    by_id = {id(nb_cell): cell for nb_cell, cell in _pairs(nb, watch.plan, ERROR_MARKER_TAG)}
    failed = False
    for cell in nb.cells:
        if cell_run := by_id.get(id(cell)):
            failed |= cell_run.status not in {"ok", "expected-error"}
            _set_status(cell, cell_run)
    nb.metadata.papermill["exception"] = True if failed else None
    if not any(cell_run.status == "error" for cell_run in watch.plan.values()):
        remove_error_markers(nb)
    notebook.write(nb, watch.request.output)


def _pairs(nb: Any, plan: Mapping[int, CellRun], marker: str) -> Iterator[tuple[Any, CellRun]]:
    own = [cell for cell in nb.cells if marker not in cell.metadata.get("tags", [])]
    for index, cell_run in plan.items():
        yield own[index], cell_run


def _set_status(cell: Any, cell_run: CellRun) -> None:
    told = cell.metadata.papermill
    if cell_run.status == "not-run":
        cell.metadata.papermill = dict.fromkeys(told) | {"status": "pending"}
    elif cell_run.status in {"error", "stopped"}:
        told.update(status="failed", exception=True)
    else:
        told.update(status="completed", exception=False)


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
