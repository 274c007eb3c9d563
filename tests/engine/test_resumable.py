"""What a run of a notebook depends on: its working directory, and no place elsewhere."""

from pathlib import Path
from typing import Any

import pytest

from stepkit.engine.resumable import NOTEBOOK
from stepkit.notebook import progress_json
from stepkit.steps.execute_notebook import Options


def options(output: str = "out.ipynb", **more: Any) -> Options:
    return Options(notebook=Path("nb/a.ipynb"), output=Path(output), **more)


def test_a_notebook_reads_its_directory_or_the_one_that_is_named() -> None:
    assert NOTEBOOK.directories(options()) == [Path("nb")]
    assert NOTEBOOK.directories(options(cwd=Path("elsewhere"))) == [Path("elsewhere")]


@pytest.mark.parametrize("url", ["s3://bucket/out.ipynb", "gs://bucket/out.ipynb"])
def test_a_run_whose_output_goes_elsewhere_is_not_reused(url: str) -> None:
    with pytest.raises(ValueError, match=f"--output {url} is not a file of the run"):
        NOTEBOOK.directories(options(url))


def test_outputs_that_were_cut_progress_and_kept_attempts_belong_to_a_run(tmp_path: Path) -> None:
    notebook = tmp_path / "out.ipynb"
    (tmp_path / "out.outputs").mkdir()
    cut = tmp_path / "out.outputs/cell-3.txt"
    kept, log = tmp_path / "out.attempt-1.ipynb", tmp_path / "papermill.attempt-1.log"
    other = tmp_path / "another.attempt-1.ipynb"  # of a batch in one directory
    for path in (notebook, cut, kept, log, other):
        path.write_text("")

    written = {"notebook": notebook, "log": tmp_path / "papermill.log", "page": None}
    found = NOTEBOOK.beside({**written, "attempts": ("first", "second")})

    assert {cut, kept, log, progress_json.beside(notebook)} <= set(found)
    assert other not in found
    assert kept not in NOTEBOOK.beside({"notebook": notebook, "attempts": ()})
    assert NOTEBOOK.beside({}) == []


@pytest.mark.parametrize("text", ["compare: {golden: a.ipynb}", "rules: [{source-file: a.py}]"])
def test_a_notebook_depends_on_the_files_that_its_rules_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "rules.yaml").write_text(text)
    (tmp_path / "plain.yaml").write_text("tolerate: []")

    assert NOTEBOOK.directories(options(rules=tmp_path / "rules.yaml")) == [Path("nb"), tmp_path]
    assert NOTEBOOK.directories(options(rules=tmp_path / "plain.yaml")) == [Path("nb")]
