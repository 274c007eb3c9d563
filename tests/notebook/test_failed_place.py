"""A failure is annotated at its line of the notebook's file, if that is known."""

import json
from pathlib import Path

import nbformat
import pytest
from samples import write_notebook

from stepkit.errors import Evidence
from stepkit.notebook import failed_place
from stepkit.notebook.verdict import CellRun, Ending, Execution

SOURCES = ('print("a")', "import os\n\n# same\nraise ValueError\n# same")


def run(line: int | None, source: str = SOURCES[1], cell: str = "cell-1") -> Execution:
    error = Evidence(ename="ValueError", source=source, line=line)
    cells = [
        CellRun(number=1, index=0, id="cell-0", title="x", status="ok"),
        CellRun(number=2, index=1, id=cell, title="x", status="error", error=error),
    ]
    return Execution(cells=cells, ending=Ending.FINISHED)


@pytest.mark.parametrize("line", [None, 1, 2, 3, 4, 5])
def test_the_line_is_that_of_the_failing_code_in_the_file(tmp_path: Path, line: int | None) -> None:
    path = write_notebook(tmp_path / "a.ipynb", *SOURCES)

    place = failed_place.find(run(line), path)

    assert place
    assert (place.title, place.file) == ("cell 2 of 2", str(path))
    assert place.line
    row = path.read_text().splitlines()[place.line - 1]
    assert json.loads(row.strip().rstrip(",")).rstrip() == SOURCES[1].split("\n")[(line or 1) - 1]
    assert failed_place.find(run(1), path).line == place.line - (line or 1) + 1  # type: ignore[union-attr]


def test_a_line_is_found_behind_rows_that_look_alike(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "a.ipynb", *SOURCES)
    nb = nbformat.read(path, as_version=4)
    data = {"id": "cell-1", "source": ["import os", "x"]}
    nb.cells[1].metadata["x"] = data
    nb.cells[1].outputs = [nbformat.v4.new_output("display_data", {"application/json": data})]
    nbformat.write(nb, path)

    place = failed_place.find(run(4), path)

    assert place
    assert place.line
    assert path.read_text().splitlines()[place.line - 1].strip() == r'"raise ValueError\n",'


@pytest.mark.parametrize(
    ("execution", "content"),
    [
        (run(4), "one line"),
        (run(2, source="changed by\na rule"), "whole"),
        (run(4, cell="injected"), "whole"),
        (run(4), "missing"),
        (run(4), "broken"),
    ],
)
def test_a_line_that_is_not_in_the_file_is_not_claimed(
    tmp_path: Path, execution: Execution, content: str
) -> None:
    path = write_notebook(tmp_path / "a.ipynb", *SOURCES)
    if content == "one line":
        path.write_text(json.dumps(json.loads(path.read_text())))
    elif content == "missing":
        path.unlink()
    elif content == "broken":
        path.write_bytes(b'\xff\n  "id": "cell-1",\n  "source": [\n 7')

    place = failed_place.find(execution, path)

    assert place
    assert (place.title, place.line) == ("cell 2 of 2", None)


def test_a_run_in_which_no_cell_failed_has_no_place(tmp_path: Path) -> None:
    cells = [CellRun(number=1, index=0, id="a", title="x", status="ok")]

    assert failed_place.find(Execution(cells=cells, ending=Ending.FINISHED), tmp_path) is None
