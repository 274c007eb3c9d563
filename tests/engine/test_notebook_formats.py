"""Notebooks of other formats and shapes run, and come out as whole notebooks of format 4.5."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from stepkit.errors import UserCodeError
from stepkit.steps import execute_notebook
from stepkit.steps.execute_notebook import Options

SPEC = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def run(tmp_path: Path, document: dict[str, Any], **more: Any) -> tuple[str, Any]:
    """Execute a document and return the verdict and the notebook that was written."""
    source, output = tmp_path / "a.ipynb", tmp_path / "out.ipynb"
    source.write_text(json.dumps(document))
    try:
        said = execute_notebook.run(
            Options(notebook=source, output=output, kernel="python3", **more)
        ).message
    finally:
        nb = nbformat.read(output, as_version=4)
        nbformat.validate(nb)
    assert (nb.nbformat, nb.nbformat_minor) >= (4, 5)
    return said, nb


def code(source: str, **more: Any) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], **more}


def book(*cells: dict[str, Any], minor: int = 5, **more: Any) -> dict[str, Any]:
    return {"cells": cells, "metadata": SPEC, "nbformat": 4, "nbformat_minor": minor, **more}


def test_a_notebook_without_ids_gets_them(tmp_path: Path) -> None:
    cells = [code("print(1)", execution_count=None), code("2", execution_count=7)]
    said, nb = run(tmp_path, book(*cells, minor=4))

    assert said == "2 of 2 cells ran"
    assert len({cell.id for cell in nb.cells}) == 2
    assert nb.cells[0].outputs[0].text == "1\n"


def test_a_notebook_of_format_3_runs(tmp_path: Path) -> None:
    cells = [
        {
            "cell_type": "code",
            "input": "print('old')",
            "language": "python",
            "metadata": {},
            "outputs": [{"output_type": "stream", "stream": "stdout", "text": "stale"}],
            "collapsed": False,
            "prompt_number": 3,
        },
        {"cell_type": "heading", "level": 2, "source": "A heading", "metadata": {}},
    ]
    said, nb = run(
        tmp_path,
        {
            "worksheets": [{"cells": cells, "metadata": {}}],
            "metadata": {"name": "old"},
            "nbformat": 3,
            "nbformat_minor": 0,
        },
    )

    assert said == "1 of 1 cells ran"
    assert nb.cells[0].outputs[0].text == "old\n"
    assert nb.cells[1].source == "## A heading"


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param([], marks=pytest.mark.slow),
        [{"cell_type": "markdown", "source": "only words", "metadata": {}, "id": "a"}],
    ],
)
def test_a_notebook_without_code_passes_and_says_so(
    tmp_path: Path, cells: list[dict[str, Any]]
) -> None:
    said, nb = run(tmp_path, book(*cells))

    assert said == "the notebook has no code cells"
    assert len(nb.cells) == len(cells)
    assert nb.metadata.papermill.exception is None


def test_texts_in_lines_and_unknown_fields_are_kept(tmp_path: Path) -> None:
    cell = code("", id="a", execution_count=None)
    cell["source"] = ["x = 1\n", "print(x)"]
    cell["metadata"] = {"somebody": {"own": [1, {}]}, "collapsed": True}
    _, nb = run(tmp_path, book(cell))

    assert nb.cells[0].source == "x = 1\nprint(x)"
    assert nb.cells[0].metadata.somebody == {"own": [1, {}]}


@pytest.mark.slow
def test_attachments_survive(tmp_path: Path) -> None:
    attached = {"a.png": {"image/png": "aGVsbG8="}}
    words = {"cell_type": "markdown", "source": "![](attachment:a.png)", "metadata": {}, "id": "b"}
    _, nb = run(tmp_path, book({**words, "attachments": attached}, code("1", execution_count=None)))

    assert nb.cells[0].attachments == attached


def test_statuses_from_an_earlier_run_are_removed(tmp_path: Path) -> None:
    stale = {"papermill": {"status": "completed", "exception": False, "duration": 9}, "tags": []}
    cells = [
        code(source, id=f"c{n}", execution_count=n, metadata=stale)
        for n, source in enumerate(("1/0", "2"))
    ]
    with pytest.raises(UserCodeError, match="ZeroDivisionError"):
        run(tmp_path, book(*cells))

    nb = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    found = [cell.metadata.papermill.status for cell in nb.cells if cell.cell_type == "code"]
    assert found == ["failed", "pending"]
    assert nb.cells[-1].execution_count is None
