"""papermill's metadata of a notebook and its cells: times, statuses and error markers.

papermill saves the whole notebook at each of its calls, and marks as completed what never ran.
Here the checkpoints save it, and statuses come from the kernel's replies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import nbformat
from papermill.engines import NotebookExecutionManager
from papermill.execute import ERROR_ANCHOR_MSG, ERROR_MARKER_TAG, ERROR_MESSAGE_TEMPLATE

from stepkit.engine.checkpoints import Checkpoints
from stepkit.notebook import failure_note
from stepkit.notebook.verdict import Ending

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stepkit.notebook.verdict import CellRun, Execution

# How the message at the top of a notebook begins whose last cell was stopped.
_STOPPED: Final = {
    Ending.FINISHED: "Execution stopped at",
    Ending.KERNEL_DIED: "The kernel died at",
    Ending.CELL_TIMEOUT: "A time limit was hit at",
    Ending.RUN_TIMEOUT: "A time limit was hit at",
    Ending.HUNG: "The kernel hung at",
    Ending.OUTPUT_TIMEOUT: "Outputs did not arrive at",
    Ending.CANCELLED: "Execution was cancelled at",
}
_BAD: Final = {"error", "stopped"}


class Record(NotebookExecutionManager):  # type: ignore[misc] # papermill is untyped
    """Writes papermill's times and statuses into ``nb``, and has it saved to ``output``.

    ``interval`` and ``flush`` are those of :class:`~stepkit.engine.checkpoints.Checkpoints`.
    """

    def __init__(
        self,
        nb: Any,
        output: Path | None,
        *,
        interval: float,
        progress_bar: bool,
        flush: Callable[[], None],
    ) -> None:
        super().__init__(nb, output_path=None, log_output=False, progress_bar=progress_bar)
        self.checkpoints = (
            Checkpoints(nb, output, interval=interval, flush=flush) if output else None
        )

    def save(self, **_: Any) -> None:
        """Leave saving to the checkpoints."""

    def autosave_cell(self) -> None:
        """Leave saving to the checkpoints."""

    def notebook_start(self, **kwargs: Any) -> None:
        """Mark every cell as pending, and write the first state."""
        failure_note.write(self.nb, "")
        super().notebook_start(**kwargs)
        if self.checkpoints:
            self.checkpoints.begin()

    def cell_start(self, cell: Any, cell_index: int | None = None, **kwargs: Any) -> None:
        """Mark a cell as running."""
        if self.checkpoints:
            self.checkpoints.cell_started(cell)
        super().cell_start(cell, cell_index, **kwargs)

    def cell_complete(self, cell: Any, cell_index: int | None = None, **kwargs: Any) -> None:
        """Note when a cell ended, and have it saved."""
        super().cell_complete(cell, cell_index, **kwargs)
        if self.checkpoints:
            self.checkpoints.cell_finished(cell)

    def notebook_complete(self, **_: Any) -> None:
        """Note when the notebook ended; what did not run stays pending."""
        self.end_time = self.now()
        metadata = self.nb.metadata.papermill
        metadata["end_time"] = self.end_time.isoformat()
        metadata["duration"] = (self.end_time - self.start_time).total_seconds()
        if self.pbar:
            self.pbar.refresh()
        self.cleanup_pbar()

    def finish(self) -> None:
        """Write the last state. Raises :class:`~stepkit.errors.StepError`."""
        if self.checkpoints:
            self.checkpoints.finish()

    def changed(self, cell: Any) -> None:
        """Note that a cell was changed although it had ended, or never ran."""
        if self.checkpoints:
            self.checkpoints.cell_changed(cell)


def mark_cell(node: Any, run: CellRun | None) -> None:
    """Set the status of a cell that ended; ``run`` is None for a cell that is not run."""
    if run is None:
        return
    metadata = node.metadata.papermill
    if run.status in _BAD:
        metadata.update(status="failed", exception=True)
    elif run.status == "tolerated":
        metadata.update(exception=True)
        node.metadata["stepkit"] = {"tolerated": run.tolerance}  # the page shows it
    elif run.status == "not-run":
        node.metadata.papermill = dict.fromkeys(metadata) | {"status": "pending"}


def mark_notebook(nb: Any, execution: Execution) -> None:
    """Set the status of the notebook, and insert markers that lead to the cell that failed.

    papermill inserts them for a cell that raised, and these also for one that was stopped.
    """
    good = {"ok", "expected-error", "tolerated"}
    failed = any(run.status not in good for run in execution.cells)
    nb.metadata.papermill["exception"] = True if failed else None
    failure_note.write(nb, failure_note.describe(execution))
    bad = next((run for run in execution.cells if run.status in _BAD), None)
    if bad is None:
        return
    number = nb.cells[bad.index].execution_count or bad.number
    name = f"In [{number}]" if number else bad.name
    message = ERROR_MESSAGE_TEMPLATE.replace("In [%s]", name)
    if bad.status == "stopped":
        message = message.replace("An Exception was encountered at", _STOPPED[execution.ending])
    for index, text in ((bad.index, ERROR_ANCHOR_MSG), (0, message)):
        marker = nbformat.v4.new_markdown_cell(text)
        marker.metadata["tags"] = [ERROR_MARKER_TAG]
        nb.cells.insert(index, marker)
