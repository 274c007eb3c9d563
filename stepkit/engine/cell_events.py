"""Record how each cell of a notebook ends while its kernel runs them."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from stepkit.engine.kernel_stack import Stack
from stepkit.notebook import cell_evidence, cell_numbers, cell_title, traceback_text
from stepkit.notebook.verdict import CellRun, CellStatus, Ending

progress = logging.getLogger("stepkit.progress")

_EXPLAINED: Final = {"error", "expected-error", "tolerated", "stopped"}


class Tolerance(Protocol):
    """A declaration of an error that is tolerated."""

    @property
    def reason(self) -> str:
        """Why the error is tolerated."""


class Tolerances(Protocol):
    """The errors that are tolerated; :meth:`accept` counts what it accepts."""

    def accept(self, cell_id: str, ename: str, evalue: str) -> Tolerance | None:
        """Return the declaration that an error falls under."""


@dataclass(kw_only=True)
class RunState:
    """What happened so far in a run; times are in seconds, None means no limit.

    ``plan`` holds the cells that the kernel is asked to run, by their index in the notebook,
    ``total`` is the number of the notebook's last cell, which may be skipped. ``running`` is the
    index of the cell that runs since ``clock``, ``raised`` are the name and the text of the error
    that the last one ended with.
    """

    execution_timeout: float | None
    run_timeout: float | None
    tolerances: Tolerances | None = None
    started: float = field(default_factory=time.monotonic)
    zero: datetime = field(default_factory=lambda: datetime.now(UTC))
    plan: dict[int, CellRun] = field(default_factory=dict)
    total: int = 0
    ending: Ending = Ending.FINISHED
    limit: float | None = None
    cancelled_by: int | None = None
    running: int | None = None
    clock: float = 0.0
    raised: tuple[str, str] = ("", "")

    def begin(self, nb: Any) -> None:
        """Plan the cells that the kernel is asked to run."""
        numbers = cell_numbers.number_cells(nb)
        self.total = max(numbers, default=0)
        for index, (cell, number) in enumerate(zip(nb.cells, numbers, strict=True)):
            if cell_numbers.is_run(cell):
                self.plan[index] = CellRun(
                    number=number,
                    index=index,
                    id=cell.get("id", ""),
                    title=cell_title.title(cell.source),
                    injected=cell_numbers.injected_by(cell),
                )

    @property
    def skipped(self) -> int:
        """How many cells of the notebook rules took out of the run."""
        return self.total - sum(1 for cell in self.plan.values() if cell.number)

    def cell_execute(self, cell: Any, cell_index: int) -> None:  # noqa: ARG002 - nbclient's names
        """Note that a cell was sent to the kernel."""
        self.running, self.clock = cell_index, time.monotonic()
        progress.info("%s: %s", self.place(cell_index), self.plan[cell_index].title)

    def cell_executed(
        self, cell: Any, cell_index: int, execute_reply: Any, shown: Any = None
    ) -> None:
        """Note the kernel's reply, and the first error that the cell has ``shown``, if any.

        IPython replies ok to a failing ``%run``, and to errors inside ``%%capture``.
        """
        self.running = None
        if self.ending != Ending.FINISHED:  # the reply is to the interrupt
            self._end(cell_index, status="stopped")
            return
        content = execute_reply["content"]
        if shown and content["status"] == "ok":
            content = {**shown, "status": "error"}
        ename, evalue = str(content.get("ename", "")), str(content.get("evalue", ""))
        status, tolerance = self._status(cell, content["status"], ename, evalue)
        self.raised = ename, evalue
        self._end(cell_index, status=status, tolerance=tolerance)

    def take_late_error(self, cell: Any, index: int, shown: Any) -> None:
        """Note an error that a cell showed after a reply which said that it was ok."""
        if self.plan[index].status == "ok":
            self.raised = str(shown["ename"]), str(shown["evalue"])
            status, tolerance = self._status(cell, "error", *self.raised)
            self.plan[index] = replace(self.plan[index], status=status, tolerance=tolerance)
            self.explain(cell, index, Stack())

    def time_left(self) -> tuple[float | None, Ending]:
        """Return how many seconds the next cell may take, and the ending when they have passed."""
        limits = {Ending.CELL_TIMEOUT: self.execution_timeout}
        if self.run_timeout is not None:
            limits[Ending.RUN_TIMEOUT] = max(self.started + self.run_timeout - time.monotonic(), 0)
        seconds, ending = min(
            (math.inf if limit is None else limit, ending) for ending, limit in limits.items()
        )
        return None if seconds == math.inf else seconds, ending

    def stop(self, ending: Ending, *, limit: float | None = None) -> None:
        """Note why the execution ends early; only the first cause counts."""
        if self.ending == Ending.FINISHED:
            limits = {
                Ending.CELL_TIMEOUT: self.execution_timeout,
                Ending.RUN_TIMEOUT: self.run_timeout,
            }
            self.ending, self.limit = ending, limits.get(ending, limit)

    def stop_last(self, ending: Ending, *, limit: float) -> None:
        """Note that the last cell, to which the kernel replied, has not ended."""
        for index in list(self.plan)[-1:]:
            self.plan[index] = replace(self.plan[index], status="stopped")
        self.stop(ending, limit=limit)

    def abandon(self) -> None:
        """Note that the running cell, if any, was stopped."""
        if self.running is not None:
            self._end(self.running, status="stopped")
            self.running = None

    def explain(self, cell: Any, index: int, stack: Stack) -> None:
        """Keep what shows why a cell failed or was stopped, once its outputs are complete.

        ``stack`` is where the kernel's threads were, if it hung or died.
        """
        run, (ename, evalue) = self.plan.get(index), self.raised
        self.raised = "", ""
        if run and run.status in _EXPLAINED:
            line = stack.line and traceback_text.line_in_source(
                cell.source, stack.line, timed=stack.timed
            )
            error = cell_evidence.gather(
                cell.source, cell.outputs, ename=ename, evalue=evalue, stack=stack.text, line=line
            )
            title = cell_title.title(cell.source, error.line) if error.line else run.title
            self.plan[index] = replace(run, title=title, error=error)

    def place(self, index: int) -> str:
        """Name a cell for people: ``cell 3/17``."""
        cell = self.plan[index]
        return f"{cell.name}/{self.total}" if cell.number else cell.name

    def _status(self, cell: Any, replied: str, ename: str, evalue: str) -> tuple[CellStatus, str]:
        if replied == "ok":
            return "ok", ""
        if replied != "error":  # "aborted": the kernel refused to run it
            return "not-run", ""
        if "raises-exception" in cell.metadata.get("tags", []):
            return "expected-error", ""
        if self.tolerances and (declared := self.tolerances.accept(cell.id, ename, evalue)):
            return "tolerated", declared.reason
        return "error", ""

    def _end(self, index: int, *, status: CellStatus, **fields: Any) -> None:
        seconds = round(time.monotonic() - self.clock, 3)
        began = round(self.clock - self.started, 3)
        self.plan[index] = replace(
            self.plan[index], status=status, began=began, seconds=seconds, **fields
        )
        progress.info("%s: %s in %.1f s", self.place(index), status, seconds)
