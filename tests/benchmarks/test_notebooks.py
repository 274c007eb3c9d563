"""The notebooks that are measured, and what is counted in them after a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nbformat
import pytest

from benchmarks import contents, notebooks
from benchmarks.compare import cases

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.contents import Contents


def test_a_runner_that_loses_output_is_shown_and_not_timed(tmp_path: Path) -> None:
    notebook = tmp_path / "in.ipynb"
    expected = notebooks.images(notebook, 2, size=1000)
    node = nbformat.read(notebook, as_version=4)
    for number, cell in enumerate(node.cells):
        cell.execution_count = number + 1
    nbformat.write(node, tmp_path / "out.ipynb")

    lost = contents.compare(tmp_path / "out.ipynb", expected)

    assert lost.startswith("displays 0 of 2, images 0 of 2, payload 0 of ")
    assert contents.compare(tmp_path / "none.ipynb", expected) == "no none.ipynb was written"
    (tmp_path / "torn.ipynb").write_text('{"cells": [')
    assert contents.compare(tmp_path / "torn.ipynb", expected).startswith(
        "torn.ipynb cannot be read"
    )


GENERATORS: dict[str, Callable[[Path], Contents]] = {
    "displays": lambda path: notebooks.displays(path, 20),
    "real": notebooks.real_shaped,
    "stream": lambda path: notebooks.stream(path, 30),
    "text": lambda path: notebooks.text(path, 2, size=1000),
}


@pytest.mark.parametrize(
    "name",
    [name if name == "displays" else pytest.param(name, marks=pytest.mark.slow)
     for name in GENERATORS],
)  # fmt: skip
def test_each_notebook_gives_what_its_generator_promises(tmp_path: Path, name: str) -> None:
    notebook = tmp_path / "a.ipynb"
    expected = GENERATORS[name](notebook)

    _, problem = cases.EXECUTE[0].run(notebook, tmp_path)

    assert problem == ""
    assert contents.compare(tmp_path / "out.ipynb", expected) == ""
    if name == "real":
        assert len(nbformat.read(notebook, as_version=4).cells) == 90


def test_a_notebook_of_tables_is_written_with_its_outputs(tmp_path: Path) -> None:
    expected = notebooks.tables(tmp_path / "tables.ipynb", 2, rows=3)

    assert contents.compare(tmp_path / "tables.ipynb", expected) == ""
    page = b"".join([b'<table border="1" class="dataframe">'] * 2)
    (tmp_path / "page.html").write_bytes(page)
    assert contents.compare(tmp_path / "page.html", expected.on_page()) == ""


def test_each_cell_of_a_notebook_of_formulas_has_new_ones(tmp_path: Path) -> None:
    notebooks.formulas(tmp_path / "formulas.ipynb", 30)

    cells = nbformat.read(tmp_path / "formulas.ipynb", as_version=4).cells
    assert len(cells) == 30
    assert len({cell.source for cell in cells}) == 30
    assert all(cell.source.count("$") + 2 * cell.source.count("align") > 10 for cell in cells)
