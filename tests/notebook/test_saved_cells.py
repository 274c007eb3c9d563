"""The cells of an executed notebook, as its file shows them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import pytest

from stepkit.errors import ConfigurationError
from stepkit.notebook.saved_cells import read_cells

BEGAN = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)
ERROR = nbformat.v4.new_output("error", ename="KeyError", evalue="'pca'", traceback=[])


def cell(source: str, record: dict[str, Any], *outputs: Any, **metadata: Any) -> Any:
    made = nbformat.v4.new_code_cell(source, outputs=list(outputs))
    made.metadata = {"papermill": record, **metadata}
    return made


def save(path: Path, *cells: Any, start_time: str = "2026-11-30T08:00:01+00:00") -> Path:
    notebook = nbformat.v4.new_notebook(cells=list(cells))
    notebook.metadata.papermill = {"start_time": start_time}
    nbformat.write(notebook, path)
    return path


def test_each_cell_has_the_status_that_papermill_noted(tmp_path: Path) -> None:
    done = {"status": "completed", "duration": 1.5, "exception": False}
    raised = {**done, "exception": True}
    path = save(
        tmp_path / "a.ipynb",
        nbformat.v4.new_markdown_cell("# title"),
        cell("n = 5", done, tags=["injected-parameters"]),
        cell("# load\nload()", done),
        cell("expected", raised, ERROR, tags=["raises-exception"]),
        cell("tolerated", raised, ERROR, stepkit={"tolerated": "known"}),
        cell("wrong", {**raised, "status": "failed"}, ERROR),
        cell("long", {"status": "running", "duration": None}, ERROR),
        cell("never", {"status": "pending", "duration": None}),
        cell("", done),
    )

    cells = read_cells(path, since=BEGAN)

    assert [(one.number, one.status, one.title) for one in cells] == [
        (0, "ok", "n = 5"),
        (1, "ok", "load()"),
        (2, "expected-error", "expected"),
        (3, "tolerated", "tolerated"),
        (4, "error", "wrong"),
        (5, "stopped", "long"),
        (6, "not-run", "never"),
    ]
    assert (cells[1].index, cells[1].seconds) == (2, 1.5)
    assert cells[3].tolerance == "known"
    enames = [one.error.ename if one.error else "" for one in cells]
    assert enames == ["", "", *["KeyError"] * 4, ""]


def test_the_evidence_of_a_cell_is_read_from_its_outputs(tmp_path: Path) -> None:
    trace = ["Cell In[1], line 2\n----> 2     return {}[name]\n", "KeyError: 'pca'"]
    error = nbformat.v4.new_output("error", ename="KeyError", evalue="'pca'", traceback=trace)
    printed = nbformat.v4.new_output("stream", name="stdout", text="loading\n10 %\r20 %\n")
    path = save(
        tmp_path / "a.ipynb",
        cell("def load(name):\n    return {}[name]\nload('pca')", {"status": "failed"}, error),
        cell("wait()\ndone()", {"status": "running"}, printed),
    )

    failed, running = read_cells(path, since=BEGAN)

    assert failed.error is not None
    assert running.error is not None
    assert (failed.title, failed.error.line) == ("return {}[name]", 2)
    assert failed.error.traceback.endswith("\nKeyError: 'pca'")
    assert (running.status, running.title, running.error.line) == ("stopped", "done()", None)
    assert running.error.output == ("loading", "20 %")
    assert running.error.source == "wait()\ndone()"


def test_the_file_of_an_earlier_run_says_nothing(tmp_path: Path) -> None:
    path = save(tmp_path / "a.ipynb", cell("1", {}), start_time="2026-11-30T07:59:59+00:00")

    assert read_cells(path, since=BEGAN) == []


@pytest.mark.parametrize("text", ["{", "{}", '{"cells": [], "nbformat": 4, "metadata": {}}'])
def test_a_file_that_is_not_an_executed_notebook_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(text)

    with pytest.raises(ConfigurationError, match=r"is not an? (executed )?notebook"):
        read_cells(path, since=BEGAN)
