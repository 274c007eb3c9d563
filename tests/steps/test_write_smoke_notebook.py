"""write-smoke-notebook writes a notebook that proves a GPU, and tests that prove the notebook."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import commands
import nbformat
import pytest
from cuda_driver import fake_cuda
from samples import write_notebook
from whole_gpu import whole_gpu

from stepkit.errors import ConfigurationError
from stepkit.steps import write_smoke_notebook
from stepkit.steps.write_smoke_notebook import Options

if TYPE_CHECKING:
    from pathlib import Path


def test_notebook_and_tests_are_written_over_older_ones(tmp_path: Path) -> None:
    (tmp_path / "smoke").mkdir()
    (tmp_path / "smoke/smoke.ipynb").write_text("old")

    outputs = write_smoke_notebook.run(Options(directory=tmp_path / "smoke"))

    assert outputs.notebook == tmp_path / "smoke/smoke.ipynb"
    book = nbformat.read(outputs.notebook, 4)
    nbformat.validate(book)
    first = next(cell.source for cell in book.cells if "reinitialize" in cell.source)
    assert "rmm.reinitialize(managed_memory=False, pool_allocator=False" in first
    assert "cp.cuda.set_allocator(rmm_cupy_allocator)" in first
    assert [path.name for path in outputs.tests.iterdir()] == ["test_smoke.py"]
    assert outputs.message == f"wrote {outputs.notebook} and its tests"


def test_a_file_in_the_way_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "smoke").write_text("a file")

    with pytest.raises(
        ConfigurationError, match=r"cannot write .*/smoke/smoke\.ipynb: File exists"
    ):
        write_smoke_notebook.run(Options(directory=tmp_path / "smoke"))

    assert (tmp_path / "smoke").read_text() == "a file"


def results_of(directory: Path) -> dict[str, str]:
    """Run the smoke notebook's tests on what lies in their input directory."""
    done = commands.python("-m", "pytest", "-p", "no:cacheprovider", "-q", directory / "tests")
    lines = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    return {line.partition("::")[2].partition(" ")[0]: line for line in lines}


@pytest.mark.slow
def test_its_tests_fail_for_a_cell_that_failed_and_for_a_wrong_sum(tmp_path: Path) -> None:
    write_smoke_notebook.run(Options(directory=tmp_path))
    staged = tmp_path / "tests/input"
    staged.mkdir()
    write_notebook(staged / "smoke.ipynb", "1")
    book = nbformat.read(staged / "smoke.ipynb", 4)
    book.cells[0].outputs = [
        nbformat.v4.new_output("stream", text="sum: 5\nbytes: 80\n"),
        nbformat.v4.new_output("error", ename="E", evalue="", traceback=[]),
    ]
    nbformat.write(book, staged / "smoke.ipynb")
    (staged / "smoke.html").write_text("<pre>nothing</pre>")

    assert results_of(tmp_path).keys() == {
        "test_every_cell_ran_without_an_error",
        "test_the_gpu_computed_the_right_sum",
        "test_the_page_shows_the_sum",
    }


def smoke(tmp_path: Path, env: dict[str, str]) -> tuple[int, str, Path]:
    """Run the Pipeline smoke as a cluster would; return exit code, log and artifacts."""
    words = ("-P", "-m", "stepkit", "run-local", "tasks/pipelines/smoke.yaml", "--run=smoke-1")
    command = (
        sys.executable,
        *words,
        f"--workspace=shared={tmp_path}/work",
        "--param=gpu=required",
    )
    done = commands.run(*command, env=env, timeout=300)
    return done.returncode, done.stderr, tmp_path / "work/smoke-1/artifacts"


@pytest.mark.slow
@pytest.mark.usefixtures("rmm_here")
def test_the_pipeline_executes_converts_and_tests_it(tmp_path: Path) -> None:
    code, log, artifacts = smoke(tmp_path, whole_gpu(tmp_path))

    assert code == 0, log
    summary = (artifacts / "STEP_SUMMARY.md").read_text()
    assert summary.startswith("# Smoke test: passed")
    assert "3 tests: 3 passed" in summary
    run = json.loads((artifacts / "run.json").read_text())
    assert run["verdict"] == "passed"
    assert "sum: " in (artifacts / "smoke.html").read_text()


@pytest.mark.slow
def test_the_pipeline_names_a_missing_gpu(tmp_path: Path) -> None:
    code, log, artifacts = smoke(tmp_path, fake_cuda(tmp_path))

    assert code == 2, log
    assert "execute-notebook failed** (gpu-missing" in (artifacts / "STEP_SUMMARY.md").read_text()
