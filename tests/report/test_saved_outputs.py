"""The report of a killed step shows the cells of the notebook that it saved."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from step_reports import summary, write_report

KILLED = {"status": "failed", "reason": "killed", "exit_code": None, "message": "never ended"}


def save(path: Path, *statuses: str, began: str = "2026-11-22T08:00:01+00:00") -> None:
    """Write an executed notebook of a cell for each of papermill's ``statuses``."""
    cells = [nbformat.v4.new_code_cell(f"cell({number})") for number in range(len(statuses))]
    for one, status in zip(cells, statuses, strict=True):
        one.metadata.papermill = {
            "status": status,
            "duration": 2.0 if status != "pending" else None,
        }
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata.papermill = {"start_time": began}
    nbformat.write(notebook, path)


def page(tmp_path: Path, **report: Any) -> str:
    values = {**KILLED, "options": {"output": str(tmp_path / "out.ipynb")}, **report}
    write_report(tmp_path / "reports", "execute-notebook", **values)
    return summary(tmp_path / "reports", "execute-notebook")


def test_a_killed_notebook_has_its_cells_in_the_summary(tmp_path: Path) -> None:
    save(tmp_path / "out.ipynb", "completed", "running", "pending")

    shown = page(tmp_path)

    assert "**execute-notebook failed** (killed): never ended" in shown
    assert "## Notebook: 1 cell ok, 1 stopped, 1 not run" in shown
    assert "Cell 2 (`cell(1)`) was running when the execution ended\n" in shown


def test_a_step_that_ended_has_the_cells_of_its_report(tmp_path: Path) -> None:
    save(tmp_path / "out.ipynb", "completed")

    assert "## Notebook" not in page(tmp_path, reason="bad-input", exit_code=2)


@pytest.mark.parametrize("began", ["2026-11-22T07:59:59+00:00", "soon"])
def test_a_notebook_of_another_run_is_not_shown(tmp_path: Path, began: str) -> None:
    save(tmp_path / "out.ipynb", "completed", began=began)

    assert "## Notebook" not in page(tmp_path)


@pytest.mark.parametrize("options", [{}, {"output": None}, {"output": "/nonexistent/a.ipynb"}])
def test_a_killed_step_without_a_notebook_has_its_row(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    shown = page(tmp_path, options=options)

    assert "| execute-notebook | **failed** |" in shown
    assert "## Notebook" not in shown
