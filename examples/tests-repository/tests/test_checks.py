"""Each check finds its defect, on pages with one known defect each."""

from __future__ import annotations

from pathlib import Path

import pytest
from analysis_page import Page, parse
from checks import CHECKS, clusters, every_cell_ran, headings, no_error, plots, sizes

PAGES = Path(__file__).parent / "pages"

pytestmark = pytest.mark.single_cell


def page(name: str) -> Page:
    return parse((PAGES / f"{name}.html").read_text(encoding="utf-8"))


def defects(name: str) -> dict[str, str]:
    found = {check.__name__: check(page(name)) for check in CHECKS}
    return {check: defect for check, defect in found.items() if defect}


def test_a_good_page_has_no_defect() -> None:
    assert defects("good") == {}


def test_few_cells_need_fewer_clusters() -> None:
    assert defects("good_lite") == {}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("traceback", {no_error.__name__: "the output of a cell holds a traceback"}),
        ("few_clusters", {clusters.__name__: "2 clusters of 700 cells: expected 5 to 30"}),
        ("many_clusters", {clusters.__name__: "31 clusters of 700 cells: expected 5 to 30"}),
        ("few_cells", {sizes.__name__: "12 cells: expected 50 to 9999999"}),
        ("no_plots", {plots.__name__: "the page has 0 plots, needs at least 3"}),
        ("linked_plots", {plots.__name__: "the page has 0 plots, needs at least 3"}),
        ("tiny_plots", {plots.__name__: "the page has 2 plots, needs at least 3"}),
        ("no_headings", {headings.__name__: "the page lacks the headings ['Marker genes']"}),
    ],
)
def test_only_the_known_defect_is_found(name: str, expected: dict[str, str]) -> None:
    assert defects(name) == expected


def test_a_failed_notebook_fails_nearly_every_check() -> None:
    assert defects("failed_notebook") == {
        no_error.__name__: "papermill stopped at a cell that raised",
        every_cell_ran.__name__: "1 cell never ran",
        headings.__name__: "the page lacks the headings ['Quality control', "
        "'Principal components', 'Neighbours, UMAP and clusters', 'Marker genes']",
        plots.__name__: "the page has 0 plots, needs at least 3",
        clusters.__name__: "no cell printed the number of clusters and cells",
        sizes.__name__: "no cell printed the number of genes",
    }


def test_a_notebook_that_exits_early_has_cells_that_never_ran() -> None:
    assert defects("early_exit")[every_cell_ran.__name__] == "1 cell never ran"


def test_source_that_looks_like_output_is_ignored() -> None:
    failed = (PAGES / "failed_notebook.html").read_text(encoding="utf-8")
    assert "clusters: 9" in failed
    assert parse(failed).number("clusters") is None
