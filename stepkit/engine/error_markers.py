"""Mark in the notebook where its execution ended, as papermill does, and truly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stepkit.notebook.verdict import Ending

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepkit.notebook.verdict import CellRun

# What the executed notebook says at its top where papermill itself would say nothing.
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


def cell(node: Any, run: CellRun | None) -> None:
    """Give a cell that ended the status that it has by the kernel's answer."""
    told = node.metadata.papermill
    if run is None:  # no kernel was asked to run it
        return
    if run.status in _BAD:
        told.update(status="failed", exception=True)
    elif run.status == "tolerated":
        told.update(exception=True)
        node.metadata["stepkit"] = {"tolerated": run.tolerance}  # the page shows it
    elif run.status == "not-run":
        node.metadata.papermill = dict.fromkeys(told) | {"status": "pending"}


def notebook(nb: Any, plan: Mapping[int, CellRun], ending: Ending) -> None:
    """Say in the notebook's metadata whether it failed, and point to the cell at its top."""
    import nbformat
    from papermill.execute import ERROR_ANCHOR_MSG, ERROR_MARKER_TAG, ERROR_MESSAGE_TEMPLATE

    good = {"ok", "expected-error", "tolerated"}
    failed = any(run.status not in good for run in plan.values())
    nb.metadata.papermill["exception"] = True if failed else None
    bad = next((run for run in plan.values() if run.status in _BAD), None)
    if bad is None:
        return
    message = ERROR_MESSAGE_TEMPLATE % nb.cells[bad.index].execution_count
    if bad.status == "stopped":
        message = message.replace("An Exception was encountered at", _STOPPED[ending])
    for index, text in ((bad.index, ERROR_ANCHOR_MSG), (0, message)):
        mark = nbformat.v4.new_markdown_cell(text)
        mark.metadata["tags"] = [ERROR_MARKER_TAG]
        nb.cells.insert(index, mark)
