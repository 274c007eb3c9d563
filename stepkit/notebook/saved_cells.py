"""Read from an executed notebook's file how far its run came: a killed run reports no cells."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError
from stepkit.notebook import cell_evidence, cell_numbers, cell_title, ipynb
from stepkit.notebook.verdict import CellRun

if TYPE_CHECKING:
    from pathlib import Path

    from stepkit.notebook.verdict import CellStatus

# papermill's statuses of a cell; one that was running when the file was saved was stopped.
_STATUSES: Final[dict[str, CellStatus]] = {
    "completed": "ok",
    "failed": "error",
    "running": "stopped",
}


def read_cells(path: Path, *, since: datetime) -> list[CellRun]:
    """Return the code cells of the executed notebook in ``path``, as far as its file shows them.

    A file of a run that began before ``since`` has none. Raises
    :class:`~stepkit.errors.ConfigurationError` for a file that is not a notebook.
    """
    notebook = ipynb.load(path)
    try:
        began = datetime.fromisoformat(notebook["metadata"]["papermill"]["start_time"])
        if began < since:
            return []
        for cell in notebook["cells"]:
            cell["source"] = "".join(cell["source"])  # a file has it in lines
        numbers = cell_numbers.number_cells(notebook)
        return [
            _cell(index, number, cell)
            for index, (number, cell) in enumerate(zip(numbers, notebook["cells"], strict=True))
            if cell_numbers.is_run(cell)
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{path} is not an executed notebook") from error


def _cell(index: int, number: int, cell: dict[str, Any]) -> CellRun:
    metadata, record = cell["metadata"], cell["metadata"].get("papermill", {})
    status = _STATUSES.get(record.get("status"), "not-run")
    tolerance = metadata.get("stepkit", {}).get("tolerated", "")
    if status == "ok" and record.get("exception"):
        status = "tolerated" if tolerance else "expected-error"
    outputs = cell.get("outputs", ())
    failed = status == "stopped" or any(output["output_type"] == "error" for output in outputs)
    error = cell_evidence.gather(cell["source"], outputs) if failed else None
    return CellRun(
        number=number,
        index=index,
        id=str(cell.get("id", "")),
        title=cell_title.title(cell["source"], error.line if error else None),
        injected=cell_numbers.injected_by(cell),
        status=status,
        seconds=record.get("duration"),
        tolerance=tolerance,
        error=error,
    )
