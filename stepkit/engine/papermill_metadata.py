"""What papermill writes into a notebook while it runs, made true and saved without a rewrite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from papermill.engines import NotebookExecutionManager

from stepkit.engine.checkpoints import Checkpoints

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Record(NotebookExecutionManager):  # type: ignore[misc] # papermill is untyped
    """papermill's times and statuses of a notebook and its cells, and their saving.

    papermill itself saves the whole notebook at each call, and marks as completed what never ran.
    """

    def __init__(
        self,
        nb: Any,
        output: Path | None,
        *,
        interval: float,
        progress_bar: bool,
        settle: Callable[[], None],
    ) -> None:
        super().__init__(nb, output_path=None, log_output=False, progress_bar=progress_bar)
        self.checkpoints = (
            Checkpoints(nb, output, interval=interval, settle=settle) if output else None
        )

    def save(self, **_: Any) -> None:
        """Leave saving to the checkpoints."""

    def autosave_cell(self) -> None:
        """Leave saving to the checkpoints."""

    def notebook_start(self, **kwargs: Any) -> None:
        """Mark every cell as pending, and write the first state."""
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
        told = self.nb.metadata.papermill
        told["end_time"] = self.end_time.isoformat()
        told["duration"] = (self.end_time - self.start_time).total_seconds()
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
