"""Run a notebook again: on a lower rung when the GPU is full, or after a failure by bad luck.

Each attempt is the whole notebook from its first cell, and limits such as ``--run-timeout`` hold
for each separately. There are two ways to another attempt, and one list of all attempts.

- The GPU's memory ran out, and there is a lower :class:`Rung`: see
  :mod:`stepkit.gpu.memory.oom_retry`. A run that passes there has *succeeded*: the same code would
  end in the same way again.
- The attempt failed for a reason of ``--retry-on``, and ``--attempts`` are left: see
  :mod:`stepkit.notebook.retry_options`. It runs again on the same rung. A run that passes then is
  *flaky*, since the same code on the same data failed before.

Any other failure ends the run, and so does a signal.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Final,
    Protocol,
    TypeAlias,
    TypeVar,
    runtime_checkable,
)

from stepkit.errors import Cancelled, Evidence, Reason, StepError
from stepkit.notebook.attempt_files import keep, kept_path, relocate
from stepkit.step import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed import DataclassInstance

    from stepkit.notebook.retry_options import RetryOptions
    from stepkit.notebook.verdict import CellRun

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """How one attempt ended.

    ``number`` counts from 1, ``rung`` says what handed out the GPU's memory, ``gpu_peak`` is the
    most bytes of it that any cell had in use (None when it was not sampled), ``notebook`` the
    executed notebook (None when none was written). ``reason`` is the one of ``--retry-on`` if that
    led to another attempt. ``cell`` is the place of the cell that failed or was stopped among the
    cells of the executed notebook, None where there is none, and ``error`` shows why it did.
    """

    number: int
    rung: str
    status: Status
    reason: Reason
    message: str
    seconds: float
    gpu_peak: int | None = None
    notebook: Path | None = None
    exit_code: int = 0
    cell: int | None = None
    error: Evidence | None = None


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One way to run the notebook: ``phrase`` for people, and the options that change."""

    phrase: str
    changes: Mapping[str, Any] = field(default_factory=dict)


AS_ASKED: Final = Rung(phrase="as asked")


@runtime_checkable
class Outputs(Protocol):
    """What this module needs of a step's outputs, a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def notebook(self) -> Path:
        """The executed notebook."""

    @property
    def cells(self) -> tuple[CellRun, ...]:
        """Each code cell."""

    @property
    def status(self) -> Status:
        """How it ended."""

    @property
    def message(self) -> str:
        """How it ended, in one sentence."""

    @property
    def guard(self) -> Mapping[str, Any] | None:
        """What the guard in the kernel saw."""

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """All attempts in order; none when a failure would not have led to another."""


T = TypeVar("T", bound=Outputs)
_Ended: TypeAlias = Outputs | StepError | Cancelled


# Return those of the rungs that may help a notebook that left these outputs; if there is none, the
# text is the beginning of a message that says why.
Below: TypeAlias = "Callable[[tuple[Rung, ...], Outputs | None], tuple[tuple[Rung, ...], str]]"
Files: TypeAlias = "Callable[[Rung], Sequence[Path]]"


def run(
    execute: Callable[[Rung, Sequence[Attempt]], T],
    rungs: tuple[Rung, ...],
    files: Files,
    below: Below,
    retry: RetryOptions,
) -> T:
    """Call ``execute`` with a rung and the attempts before it, until one passes or none is left.

    ``rungs`` begin with the one that was asked, and ``below`` chooses among the rest. ``files``
    returns what an attempt on a rung may write: if another one follows, that is kept at its
    :func:`~stepkit.notebook.attempt_files.kept_path`.

    Returns the outputs with ``attempts`` and with a message that says which attempt it was; where
    there can be only one, it changes nothing. Raises what the last attempt raised, with all
    attempts in its outputs, the error of files that cannot be kept, and with ``--fail-on-flaky``
    an error for a flaky run. An attempt that ends before it has outputs ends with those of the
    attempt before.
    """
    if len(rungs) == 1 and retry.attempts == 1:
        return execute(rungs[0], ())
    tries = _Tries(rungs, files, below, retry)
    while True:
        began = time.monotonic()
        try:
            outputs = execute(tries.rung, tuple(tries.done))
        except Cancelled as signal:
            tries.note(began, signal)
            signal.outputs = _with_attempts(signal.outputs or tries.earlier, tries.done)
            raise
        except StepError as error:
            tries.note(began, error)
            tries.go_on(error)
        else:
            tries.note(began, outputs)
            return tries.passed(outputs)


class _Tries:
    """The attempts so far, and those that are left."""

    def __init__(
        self,
        rungs: tuple[Rung, ...],
        files: Files,
        below: Below,
        retry: RetryOptions,
    ) -> None:
        self.done: list[Attempt] = []
        self.earlier: Outputs | None = None  # of the attempt before, with paths of kept files
        self._first = rungs[0]
        self._rungs = rungs  # the one that runs, and those below it
        self._files = files
        self._below = below
        self._retry = retry
        self._left = retry.attempts - 1

    @property
    def rung(self) -> Rung:
        """The rung of the attempt that is next."""
        return self._rungs[0]

    def note(self, began: float, ended: _Ended) -> None:
        """Note how an attempt ended that ``began`` at a time of the monotonic clock."""
        luck = self._retry.luck(ended) if isinstance(ended, StepError) else None
        self.done.append(_attempt(len(self.done) + 1, self.rung, began, ended, luck))

    def go_on(self, error: StepError) -> None:
        """Prepare the attempt after one that failed, or raise ``error`` if there is none."""
        left = _with_attempts(error.outputs or self.earlier, self.done)
        failure = error.leaving(left, prefix=self._prefix())
        luck, which = self._retry.luck(error), self._which()
        if error.reason == Reason.GPU_OUT_OF_MEMORY and self._rungs[1:]:
            rungs, in_vain = self._below(self._rungs[1:], left)
            if not rungs:
                raise failure.leaving(left, prefix=in_vain) from error
            last, said = self.done[-1], "attempt %d, %s, ran out of the GPU's memory: %s; "
            said += "running it again from the start %s"
            logger.warning(said, last.number, last.rung, error, rungs[0].phrase)
            self._keep_files(left)
            self._rungs = rungs
        elif luck and self._left:
            self._left -= 1
            logger.warning("%s failed (%s): %s; running it again", which, luck, error)
            self._keep_files(left)
            try:
                self._retry.wait(luck, [attempt.reason for attempt in self.done])
            except Cancelled as signal:
                signal.outputs = self.earlier
                raise
        else:
            raise failure from error.__cause__

    def passed(self, outputs: T) -> T:
        """Return the outputs of an attempt that passed. Raises the error of a run that may not."""
        flaky = self._retry.flaky([attempt.reason for attempt in self.done])
        message = outputs.message
        if len(self.done) > 1:
            message = f"{message}, on {self._which()}"
        if not flaky:
            return replace(outputs, attempts=tuple(self.done), message=message)
        text = f"{message.removeprefix('passed ')}{_after(flaky)}"
        outputs = replace(outputs, attempts=tuple(self.done), message=text, status="flaky")
        if refused := self._retry.refusal(outputs, text, flaky=True):
            raise refused
        return outputs

    def _which(self) -> str:
        """Name the attempt that ended: ``attempt 2 of 3, with CUDA's async allocator``."""
        number, rung = len(self.done), self.done[-1].rung
        on = "" if rung == self._first.phrase else f", {rung}"
        return f"attempt {number} of {number + len(self._rungs) - 1 + self._left}{on}"

    def _prefix(self) -> str:
        """Return the beginning of the message of an attempt that failed, "" of the first."""
        if len(self.done) == 1:
            return ""
        *before, last = [attempt.reason for attempt in self.done]
        return f"{self._which()}{_after(dict.fromkeys(r for r in before if r != last))}: "

    def _keep_files(self, left: Outputs | None) -> None:
        """Keep the files of the last attempt; ``left`` are its outputs, or those of one before.

        Where no attempt left outputs yet, the files are those of an earlier run, and stay.
        """
        number, last = len(self.done), self.done[-1]
        if left is None:
            return
        try:
            keep(self._files(self.rung), number)
        except StepError as error:
            raise error.leaving(left) from error.__cause__
        if last.notebook:
            self.done[-1] = replace(last, notebook=kept_path(last.notebook, number))
        self.earlier = _with_attempts(relocate(left, number), self.done)


def _after(reasons: Iterable[str]) -> str:
    words = {Reason.GPU_OUT_OF_MEMORY.value: "the GPU's memory ran out"}
    found = [words.get(reason, reason) for reason in reasons]
    return f", after {' and '.join(found)}" if found else ""


def _attempt(number: int, rung: Rung, began: float, ended: _Ended, luck: Reason | None) -> Attempt:
    """Describe an attempt that has ``ended``."""
    status: Status = "failed"
    if isinstance(ended, StepError):
        outputs, reason, message = ended.outputs, luck or ended.reason, str(ended)
    elif isinstance(ended, Cancelled):
        outputs, reason, message = ended.outputs, Reason.CANCELLED, str(ended)
        status = "cancelled"
    else:
        outputs, reason, message = ended, Reason.OK, ended.message
        status = ended.status
    found = outputs if isinstance(outputs, Outputs) else None
    cells = found.cells if found else ()
    bad = [cell for cell in cells if cell.status in {"error", "stopped"}]
    return Attempt(
        number=number,
        rung=rung.phrase,
        status=status,
        reason=reason,
        message=message,
        seconds=round(time.monotonic() - began, 3),
        gpu_peak=max((c.gpu_peak for c in cells if c.gpu_peak is not None), default=None),
        notebook=found.notebook if found else None,
        exit_code=0 if isinstance(ended, Outputs) else ended.exit_code,
        cell=bad[0].index if bad else None,
        error=ended.evidence if isinstance(ended, StepError) else None,
    )


def _with_attempts(outputs: DataclassInstance | None, done: Sequence[Attempt]) -> Outputs | None:
    return replace(outputs, attempts=tuple(done)) if isinstance(outputs, Outputs) else None
