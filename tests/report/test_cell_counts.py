"""The cells of a notebook are counted by how they ended."""

from typing import Any

import pytest
import run_records

from stepkit.report.cell_counts import cell_counts
from stepkit.report.page import report_page
from stepkit.report.summary import step_summary
from stepkit.report.terminal.paint import Paint
from stepkit.report.terminal.run_page import run_page


def notebook(*statuses: str, **values: Any) -> Any:
    cells = [run_records.cell(n, status=status) for n, status in enumerate(statuses, start=1)]
    return run_records.notebook(cells=cells, **values)


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        ("ok ok", "2 of 2 ran"),
        ("ok expected-error tolerated", "3 of 3 ran"),
        ("ok ok ok error not-run", "3 ok, 1 failed, 1 not run"),
        ("ok tolerated stopped not-run not-run", "1 ok, 1 tolerated, 1 stopped, 2 not run"),
        ("skipped ok error", "1 ok, 1 failed, 1 left out"),
        ("", "0 of 0 ran"),
    ],
)
def test_cells_are_counted_by_how_they_ended(statuses: str, said: str) -> None:
    assert cell_counts(notebook(*statuses.split()), noun=False) == said


def test_the_first_count_has_the_noun() -> None:
    assert cell_counts(notebook("ok")) == "1 of 1 cell ran"
    assert cell_counts(notebook("ok", "ok")) == "2 of 2 cells ran"
    assert cell_counts(notebook("error", "not-run", "not-run")) == "1 cell failed, 2 not run"


def test_cells_that_the_record_leaves_out_are_not_counted() -> None:
    shortened = notebook("error", "not-run", cells_total=5, cells_run=3)
    unknown = notebook("ok", cells_total=None, cells_run=None)

    assert cell_counts(shortened) == "3 of 5 cells ran"
    assert cell_counts(unknown) == ""


def test_each_page_says_how_the_cells_of_a_failed_notebook_ended() -> None:
    record = run_records.failed()

    assert "scrna_preprocessing: 11 cells ok, 1 failed, 2 not run, GPU" in run_page(record, Paint())
    assert "## Notebook: 11 cells ok, 1 failed, 2 not run\n" in step_summary.render(record)
    html = report_page.render(record, lambda _: None, name="report.html")
    assert "<dt>Cells</dt><dd>11 ok, 1 failed, 2 not run</dd>" in html
