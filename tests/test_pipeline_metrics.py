"""Pipelines push the figures of a run, however the run and the Pushgateway fare."""

import sys
from pathlib import Path

import commands
import pytest
from pushgateway_server import groups, pushgateway
from samples import Origin, write_notebook

PIPELINES = Path(__file__).parents[1] / "tasks/pipelines"

pytestmark = pytest.mark.slow


def run(directory: Path, pipeline: str, source: str, **params: str) -> tuple[int, str]:
    """Run a Pipeline on a notebook of one cell; return its exit code and its log."""
    origin = Origin(directory / "notebooks")
    write_notebook(origin.path / "nb/a.ipynb", source)
    origin.commit("notebook")
    command = [sys.executable, "-P", "-m", "stepkit", "run-local", f"{PIPELINES}/{pipeline}.yaml"]
    command += ["--run=run-1", f"--workspace=shared={directory}/work", "--param"]
    command += [f"notebooks-url={origin.url}", *(f"{k}={v}" for k, v in params.items())]
    done = commands.run(*command, timeout=300)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("pipeline", "params", "suffix"),
    [
        ("notebook-ci", {"notebook": "nb/a.ipynb", "suffix": "_lite"}, "_lite"),
        ("notebook-matrix", {"notebooks": "nb/a.ipynb"}, ""),
    ],
    ids=["notebook-ci", "notebook-matrix"],
)
def test_a_failed_run_is_pushed_with_its_verdict_and_its_notebook(
    tmp_path: Path, pipeline: str, params: dict[str, str], suffix: str
) -> None:
    with pushgateway() as url:
        ended, log = run(tmp_path, pipeline, "{}['pca']", **params, **{"metrics-push": url})
        (found,) = groups(url)

    assert ended == 3, log
    assert found["labels"]["job"] == "stepkit"
    assert found["labels"]["pipeline"] == pipeline
    assert found["labels"]["repository"] == f"file://{tmp_path}/notebooks"
    assert found["labels"]["namespace"]
    assert found["labels"].get("suffix", "") == suffix
    (success,) = found["stepkit_run_success"]["metrics"]
    assert success["value"] == "0"
    (notebook_success,) = found["stepkit_notebook_success"]["metrics"]
    assert notebook_success["value"] == "0"
    steps = {one["labels"]["step"] for one in found["stepkit_run_step_duration_seconds"]["metrics"]}
    assert "clone-notebooks" in steps
    (written,) = (tmp_path / "work/run-1/artifacts").rglob("metrics.prom")
    assert "stepkit_notebook_success" in written.read_text()


def test_a_pushgateway_that_is_down_is_one_warning_of_a_run_that_passed(tmp_path: Path) -> None:
    where = {"notebook": "nb/a.ipynb", "metrics-push": "http://127.0.0.1:1"}

    ended, log = run(tmp_path, "notebook-ci", "1", **where)

    assert ended == 0, log
    assert log.count("the metrics of the run were not pushed: http://127.0.0.1:1/") == 1
    summary = (tmp_path / "work/run-1/artifacts/STEP_SUMMARY.md").read_text()
    assert summary.startswith("# nb/a.ipynb: passed\n")
