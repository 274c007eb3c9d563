"""The Pipelines check results and keep what notebooks write beside themselves."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import data_server
import published_schemas
import pytest
from samples import Origin, write_notebook
from test_pipelines import notebook_ci, repository_of_tests, run_local

pytestmark = pytest.mark.slow

WRITES = """\
import pathlib
pathlib.Path("figures").mkdir(exist_ok=True)
pathlib.Path("figures/umap.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
pathlib.Path("markers.csv").write_text("gene")
"""
SHOWS = """\
from IPython.display import HTML, SVG, display
display(SVG("<svg xmlns='http://www.w3.org/2000/svg'><path d='M0 0'/></svg>"))
display(HTML("<table><tr><td>1</td></tr></table>"))
"""


def artifacts_of(directory: Path) -> dict[str, dict[str, Any]]:
    """Return what the manifest of the run lists."""
    manifest = json.loads((directory / "work/run-1/artifacts/manifest.json").read_text())
    return {artifact["path"]: artifact for artifact in manifest["artifacts"]}


def files_of(directory: Path) -> set[str]:
    return {path for path in artifacts_of(directory) if path.startswith("files/")}


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    """Return a repository with files that look like results of its notebook."""
    origin = Origin(tmp_path / "notebooks")
    write_notebook(origin.path / "nb/a.ipynb", WRITES, SHOWS)
    (origin.path / "nb/figures").mkdir()
    (origin.path / "nb/figures/of_an_older_run.svg").write_text("<svg/>")
    (origin.path / "nb/labels.csv").write_text("label")
    origin.commit("notebooks")
    return origin


def test_what_a_notebook_wrote_is_kept_without_datasets_and_what_was_committed(
    tmp_path: Path, origin: Origin
) -> None:
    content = b"counts"
    tests = repository_of_tests(tmp_path)
    (tests.path / "ci").mkdir()
    tests.commit("output_analysis{suffix}.html: images>=1, tables>=1\n", "ci/expect.yaml")
    with data_server.serving(content) as served:
        ended, log = notebook_ci(
            tmp_path,
            origin,
            tests,
            suffix="_lite",
            dataset_url=f"{served.url}/counts.csv",
            dataset_sha256=sha256(content).hexdigest(),
            dataset_directory="nb",
            files='["*.csv", "figures/**"]',
            expect='["files/figures/umap.svg: type=svg", "output_analysis_lite.ipynb: images>=1"]',
            expect_file="tests:ci/expect.yaml",
        )

    assert ended == 0, log
    assert files_of(tmp_path) == {"files/markers.csv", "files/figures/umap.svg"}
    artifacts = tmp_path / "work/run-1/artifacts"
    assert (artifacts / "files/markers.csv").read_text() == "gene"
    record = json.loads((artifacts / "run_lite.json").read_text())
    assert "files/figures/umap.svg" in {artifact["path"] for artifact in record["artifacts"]}
    assert "files/figures/umap.svg" in (artifacts / "report_lite.html").read_text()
    assert "metadata_lite.json" not in artifacts_of(tmp_path)
    metadata = json.loads((artifacts / "metadata_lite.json").read_text())
    assert published_schemas.problems(metadata) == []
    assert metadata["repositories"][0]["commit"] == origin.head
    (collected,) = [step for step in record["steps"] if step["name"] == "collect-artifacts"]
    assert collected["message"].endswith("; 4 conditions hold")


def test_results_that_are_not_as_expected_fail_a_run_that_passed_else(
    tmp_path: Path, origin: Origin
) -> None:
    tests = repository_of_tests(tmp_path)

    ended, log = notebook_ci(
        tmp_path, origin, tests, expect='["output_analysis.html: images>=3", "files/none.png"]'
    )

    assert ended == 3, log
    record = json.loads((tmp_path / "work/run-1/artifacts/run.json").read_text())
    assert (record["cause"]["step"], record["cause"]["reason"]) == (
        "collect-artifacts",
        "artifact-missing",
    )
    said = "files/none.png; output_analysis.html has 1 image, not 3 or more"
    assert record["cause"]["message"].endswith(said)
    assert said in (tmp_path / "work/run-1/artifacts/STEP_SUMMARY.md").read_text()


def test_a_resumed_run_keeps_the_files_of_the_notebook_that_it_did_not_run_again(
    tmp_path: Path, origin: Origin
) -> None:
    tests = repository_of_tests(tmp_path)
    files = {"files": '["*.csv"]'}

    ended, log = notebook_ci(tmp_path, origin, tests, **files)
    again, second = notebook_ci(tmp_path, origin, tests, run="run-2", resume="run-1", **files)

    assert (ended, again) == (0, 0), log + second
    report = json.loads((tmp_path / "work/run-2/reports/execute-notebook.json").read_text())
    assert report["status"] == "reused"
    for run in ("run-1", "run-2"):
        kept = tmp_path / f"work/{run}/artifacts/files"
        assert [path.name for path in kept.iterdir()] == ["markers.csv"]


def test_files_of_a_matrix_are_those_of_all_its_notebooks(tmp_path: Path, origin: Origin) -> None:
    write_notebook(origin.path / "other/b.ipynb", WRITES)
    origin.commit("other")

    ended, log = run_local(
        tmp_path,
        "notebook-matrix",
        notebooks_url=origin.url,
        notebooks='["nb/a.ipynb", "other/b.ipynb"]',
        files='["*.csv"]',
        expect='["nb/a.ipynb/output_analysis.html: tables>=1"]',
    )

    assert ended == 0, log
    assert files_of(tmp_path) == {"files/nb/markers.csv", "files/other/markers.csv"}
