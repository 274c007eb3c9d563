"""Checks of the page of a single-cell analysis.

A check is a function that takes a page and returns its defect, or None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from analysis_page import Page

HEADINGS: Final = (
    "Quality control",
    "Principal components",
    "Neighbours, UMAP and clusters",
    "Marker genes",
)
LEAST_PLOTS: Final = 3
LEAST_PIXELS: Final = 100
WHOLE_DATA_CELLS: Final = 500  # with fewer cells, rare cell types form no cluster
LEAST_CLUSTERS: Final = 5
LEAST_CLUSTERS_OF_FEW_CELLS: Final = 3
MOST_CLUSTERS: Final = 30
CELLS: Final = range(50, 10_000_000)
GENES: Final = range(100, 100_000)


def no_error(page: Page) -> str | None:
    """No cell raised an exception, and papermill did not stop early."""
    if page.stopped_by_papermill:
        return "papermill stopped at a cell that raised"
    return "the output of a cell holds a traceback" if page.raised else None


def every_cell_ran(page: Page) -> str | None:
    """Every code cell has an execution count: cells after a kernel's end have none."""
    cells = "1 cell" if page.unrun_cells == 1 else f"{page.unrun_cells} cells"
    return f"{cells} never ran" if page.unrun_cells else None


def headings(page: Page) -> str | None:
    """The page has the sections that readers look for."""
    missing = [heading for heading in HEADINGS if heading not in page.headings]
    return f"the page lacks the headings {missing}" if missing else None


def plots(page: Page) -> str | None:
    """The page contains enough embedded PNG plots that are not tiny."""
    real = [plot for plot in page.plots if min(plot.width, plot.height) >= LEAST_PIXELS]
    if len(real) < LEAST_PLOTS:
        return f"the page has {len(real)} plots, needs at least {LEAST_PLOTS}"
    return None


def clusters(page: Page) -> str | None:
    """The number of clusters is plausible for the cell types of blood."""
    found, cells = page.number("clusters"), page.number("cells")
    if found is None or cells is None:
        return "no cell printed the number of clusters and cells"
    few = cells < WHOLE_DATA_CELLS
    least = LEAST_CLUSTERS_OF_FEW_CELLS if few else LEAST_CLUSTERS
    if not least <= found <= MOST_CLUSTERS:
        return f"{found} clusters of {cells} cells: expected {least} to {MOST_CLUSTERS}"
    return None


def sizes(page: Page) -> str | None:
    """Quality control left enough cells and genes."""
    for name, plausible in (("cells", CELLS), ("genes", GENES)):
        found = page.number(name)
        if found is None:
            return f"no cell printed the number of {name}"
        if found not in plausible:
            return f"{found} {name}: expected {plausible.start} to {plausible.stop - 1}"
    return None


Check = Callable[["Page"], str | None]
CHECKS: Final[tuple[Check, ...]] = (no_error, every_cell_ran, headings, plots, clusters, sizes)
