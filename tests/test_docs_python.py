"""The examples in docs/python.md do what the page says."""

import doctest
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

PAGE = Path(__file__).parents[1] / "docs/python.md"
EXAMPLES = re.findall(r"```pycon\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)


def write(path: Path, *cells: str) -> None:
    notebook = new_notebook(cells=[new_code_cell(source) for source in cells])
    notebook.cells[0].metadata["tags"] = ["parameters"]
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, path)


@pytest.mark.slow
def test_each_example_prints_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "analysis.ipynb", "n_pcs = 50", "assert isinstance(n_pcs, int)\nprint(n_pcs)")
    write(tmp_path / "broken.ipynb", "n_pcs = 50", 'genes = {}\ngenes["CD4"]', "n_pcs")
    test = doctest.DocTestParser().get_doctest("\n".join(EXAMPLES), {}, PAGE.name, str(PAGE), 0)
    said: list[str] = []

    done = doctest.DocTestRunner().run(test, out=said.append)

    assert said == []
    assert done.attempted > 8
    assert "20" in (tmp_path / "out/analysis.ipynb").read_text()
