"""The verdict on a notebook, from the kernel's reply to each cell."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from signal import SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, Signals
from typing import TYPE_CHECKING, Final, Literal

from stepkit.errors import Cancelled, Evidence, Reason, StepError, ToolError, UserCodeError
from stepkit.formats import evidence_text
from stepkit.formats.shorten import shorten
from stepkit.notebook.cell_numbers import Injected
from stepkit.notebook.cpu_fallback import CpuFallback
from stepkit.step import Checks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from _typeshed import DataclassInstance

CellStatus = Literal["ok", "expected-error", "tolerated", "error", "stopped", "not-run"]

# What others send to end a process. Its own crashes and timers end it with another signal.
_SENT: Final = {SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGTERM}
_INJECTED: Final[dict[Injected, str]] = {
    "": "the injected cell",
    "parameters": "the cell with the injected parameters",
    "rule": "a cell that a rule injected",
}
_EVALUE_LENGTH: Final = 300  # characters of an exception's text that a message shows


class Ending(StrEnum):
    """How the execution as a whole ended."""

    FINISHED = "finished"
    KERNEL_DIED = "kernel-died"
    CELL_TIMEOUT = "cell-timeout"
    RUN_TIMEOUT = "run-timeout"
    HUNG = "hung"
    OUTPUT_TIMEOUT = "output-timeout"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class CellRun:
    """One code cell, and the kernel's reply to it.

    ``number`` is that of :mod:`stepkit.notebook.cell_numbers`; a cell that was injected, by
    papermill for the ``parameters`` or by a ``rule``, is 0. ``index`` is the position among all
    cells of the executed notebook, ``title`` its telling line: see
    :func:`stepkit.notebook.cell_title.title`. ``began`` and ``seconds`` count from the start of
    the run and of the cell. ``gpu_peak``, ``gpu_change`` (by how much the GPU memory in use grew)
    and ``rss_peak`` are bytes, ``energy`` is the joules that the GPUs used, ``gpu_idle`` the share
    of the samples in which a GPU had nothing to do: None when they were not sampled.
    ``tolerance`` is the reason why a tolerated error was declared so, ``error`` what shows why the
    cell failed or was stopped.
    ``cpu_fallback`` is None for a cell that called neither cudf.pandas nor cuml.accel.
    """

    number: int
    index: int
    id: str
    title: str
    injected: Injected = ""
    status: CellStatus = "not-run"
    began: float | None = None
    seconds: float | None = None
    gpu_peak: int | None = None
    gpu_change: int | None = None
    energy: float | None = None
    gpu_idle: float | None = None
    rss_peak: int | None = None
    cpu_fallback: CpuFallback | None = None
    tolerance: str = ""
    error: Evidence | None = None

    @property
    def name(self) -> str:
        """What the cell is called in a sentence."""
        return f"cell {self.number}" if self.number else _INJECTED[self.injected]


@dataclass(frozen=True, kw_only=True)
class Execution:
    """What a verdict is made from: the cells in order, and how the kernel ended.

    ``cancelled_by`` is the signal that ended a cancelled run, ``exit_code`` is the kernel process's
    (negative for a signal), ``killed_itself`` whether it sent itself that signal, ``limit`` the
    time limit in seconds that was hit, ``oom_kills`` how many processes the OOM killer ended
    meanwhile, ``memory_limit`` the container's limit in bytes, ``messages_lost`` how many messages
    of the kernel never arrived, and ``skipped`` how many cells rules took out of the run.
    ``started`` is when the run began, by :func:`time.monotonic`, and ``zero`` the same moment as an
    ISO-8601 time in UTC with milliseconds.
    """

    cells: Sequence[CellRun]
    ending: Ending
    cancelled_by: int | None = None
    exit_code: int | None = None
    killed_itself: bool = False
    limit: float | None = None
    oom_kills: int = 0
    memory_limit: int | None = None
    messages_lost: int = 0
    skipped: int = 0
    started: float = 0.0
    zero: str = ""

    @property
    def total(self) -> int:
        """How many code cells the notebook itself has, also those that rules skip."""
        return self.skipped + sum(1 for cell in self.cells if cell.number)

    @property
    def ran(self) -> int:
        """How many of them ran to their end."""
        done = ("ok", "expected-error", "tolerated")
        return sum(1 for cell in self.cells if cell.number and cell.status in done)

    @property
    def tolerated(self) -> Sequence[CellRun]:
        """The cells with a tolerated error."""
        return [cell for cell in self.cells if cell.status == "tolerated"]

    def checks(self, differing: Collection[int] = ()) -> Checks:
        """Return how many cells passed, failed, or had a tolerated error.

        Those of ``differing`` failed by their outputs. An injected cell that passed does not count.
        """
        kept = [cell for cell in self.cells if cell.number not in differing]
        passed = sum(cell.status in {"ok", "expected-error"} for cell in kept if cell.number)
        failed = sum(cell.status in {"error", "stopped"} for cell in kept)
        failed += len(self.cells) - len(kept)
        warnings = sum(cell.status == "tolerated" for cell in kept)
        return Checks(successes=passed, failures=failed, warnings=warnings)


def judge(execution: Execution) -> str:
    """Return the sentence that describes a success, or raise the error of a failure.

    Raises :class:`UserCodeError` for what the notebook did, :class:`ToolError` for what was done
    to it.
    """
    if failed := _first(execution.cells, "error"):
        cell, rest = _cell(execution, failed), _not_run(execution)
        error = failed.error or Evidence()
        if error.ename == "SystemExit":  # even exit code 0 in the last cell may have cut it short
            call = f"sys.exit({error.evalue if error.evalue not in {'', 'None'} else ''})"
            message = f"{cell} ended the notebook early with {call}{rest}"
            raise UserCodeError(message, reason=Reason.EARLY_EXIT, evidence=error)
        message = f"{_raised(execution, failed)}{rest}"
        raise UserCodeError(message, reason=Reason.CELL_ERROR, evidence=error)
    if stopped := _first(execution.cells, "stopped") or _first(execution.cells, "not-run"):
        unfinished = _unfinished(execution, stopped)
        unfinished.evidence = stopped.error
        raise unfinished
    if not execution.cells:
        return "the notebook has no code cells"
    message = f"{execution.ran} of {execution.total} cells ran"
    if expected := sum(cell.status == "expected-error" for cell in execution.cells):
        message += f", {expected} of them with an error that its tag raises-exception expects"
    if execution.skipped:
        message += f", {execution.skipped} skipped by rules"
    if count := len(execution.tolerated):
        errors = "tolerated error" if count == 1 else "tolerated errors"
        message = f"passed with {count} {errors}: {message}"
    if lost := execution.messages_lost:
        were = "message of the kernel was" if lost == 1 else "messages of the kernel were"
        message += f"; {lost} {were} lost: outputs are incomplete"
    return message


def describe_tolerated(execution: Execution) -> list[str]:
    """Say of each tolerated error where it was raised, and why it is tolerated."""
    return [
        f"tolerated: {_raised(execution, cell)}: {cell.tolerance or 'no reason is given'}"
        for cell in execution.tolerated
    ]


def describe_failure(execution: Execution) -> list[str]:
    """Return the evidence of the cell that decided against a run, as lines; none if none did."""
    failed = deciding_cell(execution)
    if not failed or not failed.error:
        return []
    return evidence_text.lines(failed.error, where=place_of(execution, failed))


def deciding_cell(execution: Execution) -> CellRun | None:
    """Return the cell that failed or was stopped, None if none was."""
    return _first(execution.cells, "error") or _first(execution.cells, "stopped")


def place_of(execution: Execution, cell: CellRun) -> str:
    """Name a cell for people: ``cell 2 of 4``."""
    return f"{cell.name} of {execution.total}" if cell.number else cell.name


def _raised(execution: Execution, cell: CellRun) -> str:
    error = cell.error or Evidence()
    evalue = shorten(" ".join(error.evalue.split()), _EVALUE_LENGTH, ellipsis="")
    what = f"raised {error.ename}" if error.ename else "failed"  # kernels such as bash's name none
    return ": ".join(filter(None, [f"{_cell(execution, cell)} {what}", evalue]))


@contextmanager
def cancelling(execution: Execution, outputs: DataclassInstance) -> Iterator[None]:
    """Raise :class:`Cancelled` with ``outputs`` for a signal that arrives during the block."""
    try:
        yield
    except KeyboardInterrupt as stop:
        cancelled = stop if isinstance(stop, Cancelled) else Cancelled()
        raise Cancelled(
            cancelled.signum,
            outputs=cancelled.outputs or outputs,
            message=f"{stopped_by(execution, cancelled.signum)}; their outputs are saved",
        ) from None


def stopped_by(execution: Execution, signum: int) -> str:
    """Say which signal stopped a run, and when."""
    ran = f"{execution.ran} of {execution.total} cells"
    return f"stopped by {Signals(signum).name} when {ran} had run"


def _unfinished(execution: Execution, cell: CellRun) -> StepError:
    """Return the error of a run that ended at ``cell`` or before it."""
    where, seconds = _cell(execution, cell), f"{execution.limit or 0:g} s"
    match execution.ending:
        case Ending.KERNEL_DIED:
            return _kernel_died(execution, where)
        case Ending.CELL_TIMEOUT:
            what = f"{where} was stopped after {seconds} (--execution-timeout)"
        case Ending.RUN_TIMEOUT:
            what = f"the run was stopped after {seconds} (--run-timeout), during {where}"
        case Ending.HUNG:
            return ToolError(
                f"the kernel hung in {where}: no output and no work of CPU or GPU for "
                f"{seconds} (--hang-timeout){_not_run(execution)}",
                reason=Reason.KERNEL_HUNG,
            )
        case Ending.OUTPUT_TIMEOUT:
            return ToolError(
                f"the outputs of {where} did not arrive within {seconds} after it ended"
                f"{_not_run(execution)}",
                reason=Reason.TIMEOUT,
            )
        case Ending.FINISHED | Ending.CANCELLED:
            count = sum(1 for other in execution.cells if other.status == "not-run")
            return UserCodeError(
                f"{count} of {execution.total} cells never ran: {where} is the first",
                reason=Reason.CELLS_NOT_RUN,
            )
    return UserCodeError(what + _not_run(execution), reason=Reason.TIMEOUT)


def _kernel_died(execution: Execution, where: str) -> StepError:
    code, rest = execution.exit_code, _not_run(execution)
    if execution.killed_itself and code:
        text = f"the kernel killed itself with {_signal_name(-code)} in {where}"
        return UserCodeError(text + rest, reason=Reason.KERNEL_DIED)
    if execution.oom_kills and code == -SIGKILL:
        limit = execution.memory_limit
        size = f" of {limit / 2**30:.1f} GiB" if limit else ""
        return ToolError(
            f"the kernel ran out of memory in {where}: the OOM killer ended it at the "
            f"container's limit{size}{rest}",
            reason=Reason.OUT_OF_MEMORY,
        )
    if code is not None and code < 0:
        text = f"the kernel was killed by {_signal_name(-code)} in {where}"
        if -code in _SENT:
            return ToolError(f"{text}, sender unknown{rest}", reason=Reason.KERNEL_DIED)
        return UserCodeError(text + rest, reason=Reason.KERNEL_DIED)
    how = "died" if code is None else f"exited by itself with code {code}"
    return UserCodeError(f"the kernel {how} in {where}{rest}", reason=Reason.KERNEL_DIED)


def _signal_name(number: int) -> str:
    return Signals(number).name if number in set(Signals) else f"signal {number}"


def _first(cells: Sequence[CellRun], status: CellStatus) -> CellRun | None:
    return next((cell for cell in cells if cell.status == status), None)


def _cell(execution: Execution, cell: CellRun) -> str:
    error = cell.error
    unknown = cell.status == "stopped" and error and not error.line and "\n" in error.source
    return f"{place_of(execution, cell)} ({'with the line ' if unknown else ''}`{cell.title}`)"


def _not_run(execution: Execution) -> str:
    count = sum(1 for cell in execution.cells if cell.status == "not-run" and cell.number)
    return f"; {count} {'cell' if count == 1 else 'cells'} after it did not run" if count else ""
