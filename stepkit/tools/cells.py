"""What happens to the cells of a notebook while papermill executes it."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from stepkit.tools import notebook
from stepkit.verdict import CellRun, CellStatus, Ending

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

progress = logging.getLogger("stepkit.progress")

# Seconds that outputs may take to arrive after the kernel's reply. nbclient's own 4 s is a total
# and fails on one large output.
OUTPUT_SECONDS: Final = 120


# What the executed notebook says at its top when papermill itself would say nothing.
_STOPPED: Final = {
    Ending.FINISHED: "Execution stopped at",
    Ending.KERNEL_DIED: "The kernel died at",
    Ending.CELL_TIMEOUT: "A time limit was hit at",
    Ending.RUN_TIMEOUT: "A time limit was hit at",
    Ending.OUTPUT_TIMEOUT: "Outputs did not arrive at",
    Ending.CANCELLED: "Execution was cancelled at",
}


@dataclass(kw_only=True)
class Watch:
    """What happened so far, told by the hooks of nbclient."""

    execution_timeout: float | None
    run_timeout: float | None
    started: float = field(default_factory=time.monotonic)
    notebook: Any = None
    process: Any = None
    ending: Ending = Ending.FINISHED
    limit: float | None = None
    plan: dict[int, CellRun] = field(default_factory=dict)
    running: int | None = None
    clock: float = 0.0

    def begin(self, nb: Any) -> None:
        """Note the notebook as the kernel will get it."""
        self.notebook = nb
        self.plan = {cell.index: cell for cell in _plan(nb)}

    def cell_execute(self, cell: Any, cell_index: int) -> None:  # noqa: ARG002 - nbclient's names
        """Note that a cell was sent to the kernel."""
        self.running, self.clock = cell_index, time.monotonic()
        planned = self.plan[cell_index]
        progress.info("%s: %s", self._place(planned), planned.first_line)

    def cell_executed(self, cell: Any, cell_index: int, execute_reply: Any) -> None:
        """Note what the kernel answered."""
        self.running = None
        content = _error_shown(cell, execute_reply["content"])
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
        limits = {Ending.CELL_TIMEOUT: self.execution_timeout}
        if self.run_timeout is not None:
            left = self.started + self.run_timeout - time.monotonic()
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

    def timed_out(self, message: str) -> None:
        """Note which limit nbclient's CellTimeoutError with this ``message`` is about."""
        elapsed = time.monotonic() - self.started
        if "IOPub" in message:
            self.limit = OUTPUT_SECONDS
            self.stop(Ending.OUTPUT_TIMEOUT)
        elif self.run_timeout is not None and elapsed >= self.run_timeout:
            self.limit = self.run_timeout
            self.stop(Ending.RUN_TIMEOUT)
        else:
            self.limit = self.execution_timeout
            self.stop(Ending.CELL_TIMEOUT)

    def make_statuses_true(self) -> None:
        """Correct what papermill wrote into the notebook's metadata.

        It marks every cell of a killed kernel "completed", also those that never ran.
        """
        own = [cell for cell in self.notebook.cells if not _is_marker(cell)]
        for index, cell_run in self.plan.items():
            _set_status(own[index], cell_run)
        failed = any(c.status not in {"ok", "expected-error"} for c in self.plan.values())
        self.notebook.metadata.papermill["exception"] = True if failed else None
        self.notebook.cells = own
        self._mark_error()

    def _mark_error(self) -> None:
        """Mark the failed cell as papermill does; its own mark may sit at an expected error."""
        import nbformat
        from papermill.execute import ERROR_ANCHOR_MSG, ERROR_MARKER_TAG, ERROR_MESSAGE_TEMPLATE

        bad = {"error", "stopped"}
        failed = next((c for c in self.plan.values() if c.status in bad), None)
        if failed is None:
            return
        cells = self.notebook.cells
        message = ERROR_MESSAGE_TEMPLATE % cells[failed.index].execution_count
        if failed.status == "stopped":
            message = message.replace("An Exception was encountered at", _STOPPED[self.ending])
        for index, text in ((failed.index, ERROR_ANCHOR_MSG), (0, message)):
            mark = nbformat.v4.new_markdown_cell(text)
            mark.metadata["tags"] = [ERROR_MARKER_TAG]
            cells.insert(index, mark)

    def _place(self, cell: CellRun) -> str:
        total = sum(1 for other in self.plan.values() if other.number)
        return f"cell {cell.number}/{total}" if cell.number else "parameters"


def printed_lines(output: Any) -> Iterator[str]:
    """Yield the lines of an output for a log: text only, a progress bar as it stands at its end."""
    if output.output_type == "stream":
        text = output.text
    else:
        text = output.get("data", {}).get("text/plain", "")
    for line in text.split("\n"):
        shown = line.rstrip("\r").rpartition("\r")[2]
        if shown.strip():
            yield shown


def _error_shown(cell: Any, content: Any) -> Any:
    """Return the reply, or the error that IPython showed although it replied ok.

    It does so for a failing ``%run``, and for errors inside ``%%capture``.
    """
    errors = [output for output in cell.outputs if output.output_type == "error"]
    if content["status"] != "ok" or not errors:
        return content
    return {"status": "error", "ename": errors[0].ename, "evalue": errors[0].evalue}


def _status(replied: str, tags: Sequence[str]) -> CellStatus:
    if replied == "ok":
        return "ok"
    if replied != "error":  # "aborted": the kernel refused to run it
        return "not-run"
    return "expected-error" if "raises-exception" in tags else "error"


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


def _is_marker(cell: Any) -> bool:
    return "papermill-error-cell-tag" in cell.metadata.get("tags", [])


def _set_status(cell: Any, cell_run: CellRun) -> None:
    told = cell.metadata.papermill
    if cell_run.status == "not-run":
        cell.metadata.papermill = dict.fromkeys(told) | {"status": "pending"}
    elif cell_run.status in {"error", "stopped"}:
        told.update(status="failed", exception=True)
    else:
        told.update(status="completed", exception=False)
