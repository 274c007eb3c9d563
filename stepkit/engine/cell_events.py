"""What happens to the cells of a notebook while its kernel runs them."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from stepkit.notebook import ipynb
from stepkit.notebook.verdict import CellRun, CellStatus, Ending

if TYPE_CHECKING:
    from collections.abc import Iterator

progress = logging.getLogger("stepkit.progress")

# Tags of cells that are not the notebook's own: papermill's, and the rules'.
INJECTED: Final = frozenset({"injected-parameters", "injected-by-stepkit"})


class Tolerance(Protocol):
    """An error that was declared tolerable."""

    @property
    def reason(self) -> str:
        """Why it may be."""


class Tolerances(Protocol):
    """The errors that may be; :meth:`accept` counts what it accepts."""

    def accept(self, cell_id: str, ename: str, evalue: str) -> Tolerance | None:
        """Return the declaration that an error falls under."""


@dataclass(kw_only=True)
class Watch:
    """What happened so far; times are in seconds, None is no limit."""

    execution_timeout: float | None
    run_timeout: float | None
    tolerances: Tolerances | None = None
    started: float = field(default_factory=time.monotonic)
    plan: dict[int, CellRun] = field(default_factory=dict)
    total: int = 0
    ending: Ending = Ending.FINISHED
    limit: float | None = None
    cancelled_by: int | None = None
    running: int | None = None
    clock: float = 0.0

    def begin(self, nb: Any) -> None:
        """Note the cells that the kernel will get."""
        self.plan = {cell.index: cell for cell in _plan(nb)}
        self.total = sum(1 for cell in self.plan.values() if cell.number)

    def cell_execute(self, cell: Any, cell_index: int) -> None:  # noqa: ARG002 - nbclient's names
        """Note that a cell was sent to the kernel."""
        self.running, self.clock = cell_index, time.monotonic()
        progress.info("%s: %s", self.place(cell_index), self.plan[cell_index].first_line)

    def cell_executed(self, cell: Any, cell_index: int, execute_reply: Any) -> None:
        """Note what the kernel answered."""
        self.running = None
        if self.ending != Ending.FINISHED:  # the answer is to the interrupt
            self._end(cell_index, status="stopped")
            return
        content = _error_shown(cell, execute_reply["content"])
        ename, evalue = str(content.get("ename", "")), str(content.get("evalue", ""))
        status, tolerance = self._status(cell, content["status"], ename, evalue)
        self._end(cell_index, status=status, ename=ename, evalue=evalue, tolerance=tolerance)

    def time_left(self) -> tuple[float | None, Ending]:
        """Return how many seconds the next cell may take, and what it means when they are over."""
        limits = {Ending.CELL_TIMEOUT: self.execution_timeout}
        if self.run_timeout is not None:
            limits[Ending.RUN_TIMEOUT] = max(self.started + self.run_timeout - time.monotonic(), 0)
        which = min(limits, key=lambda ending: _or_endless(limits[ending]))
        return limits[which], which

    def stop(self, ending: Ending, *, limit: float | None = None) -> None:
        """Note that the execution ends before its time; only the first cause counts."""
        if self.ending == Ending.FINISHED:
            limits = {
                Ending.CELL_TIMEOUT: self.execution_timeout,
                Ending.RUN_TIMEOUT: self.run_timeout,
            }
            self.ending, self.limit = ending, limits.get(ending, limit)

    def abandon(self) -> None:
        """Note that nothing more comes from the cell that was running."""
        if self.running is not None:
            self._end(self.running, status="stopped")
            self.running = None

    def place(self, index: int) -> str:
        """Name a cell for people: ``cell 3/17``."""
        number = self.plan[index].number
        return f"cell {number}/{self.total}" if number else "injected cell"

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

    def _end(self, index: int, *, status: CellStatus, **told: Any) -> None:
        seconds = round(time.monotonic() - self.clock, 3)
        began = round(self.clock - self.started, 3)
        self.plan[index] = replace(
            self.plan[index], status=status, began=began, seconds=seconds, **told
        )
        progress.info("%s: %s in %.1f s", self.place(index), status, seconds)


def _or_endless(limit: float | None) -> float:
    return float("inf") if limit is None else limit


def _error_shown(cell: Any, content: Any) -> Any:
    """Return the reply, or the error that IPython showed although it replied ok.

    It does so for a failing ``%run``, and for errors inside ``%%capture``.
    """
    errors = [output for output in cell.outputs if output.output_type == "error"]
    if content["status"] != "ok" or not errors:
        return content
    return {"status": "error", "ename": errors[0].ename, "evalue": errors[0].evalue}


def _plan(nb: Any) -> Iterator[CellRun]:
    """Yield the cells that a kernel will be asked to run, as nbclient chooses them."""
    number = 0
    for index, cell in enumerate(nb.cells):
        tags = cell.metadata.get("tags", [])
        if cell.cell_type != "code" or not cell.source.strip() or "skip-execution" in tags:
            continue
        injected = not INJECTED.isdisjoint(tags)
        number += not injected
        yield CellRun(
            number=0 if injected else number,
            index=index,
            id=cell.get("id", ""),
            first_line=ipynb.first_line(cell.source),
        )
