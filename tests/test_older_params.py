"""Params of an older PipelineRun, by the table of the guide, run through notebook-ci."""

import json
from pathlib import Path

import data_server
import pytest
import yaml
from older_params import converted, rows
from samples import Origin, write_notebook
from test_pipelines import PIPELINES, run_local

TEST = """\
from pathlib import Path
import pytest
@pytest.mark.single_cell
def test_page(): assert list(Path('input').glob('std_output_analysis*.html'))
"""


def test_every_param_that_the_table_names_is_one_of_notebook_ci() -> None:
    spec = yaml.safe_load((PIPELINES / "notebook-ci.yaml").read_text())["spec"]
    known = {param["name"] for param in spec["params"]}

    named = {name for _, now in rows() for name in now}

    assert len(named) > 10
    assert named - known == set()


def test_values_change_as_the_examples_do() -> None:
    older = {
        "notebook-relative-dir": "nb",
        "notebook-filename": "a b.ipynb",
        "output-notebook-name": "executed_scrna_notebook.ipynb",
        "expected-dataset-size-mb": "512",
        "download-timeout-minutes": "90",
        "pipeline-version": "lite",
    }

    assert converted(older) == {
        "notebook": "nb/a b.ipynb",
        "output-name": "executed_scrna_notebook",
        "dataset-size": "512MB",
        "download-timeout": "90m",
        "variant": "lite",
        "suffix": "_lite",
    }
    assert converted({"pipeline-version": "original"}) == {"variant": "original"}


@pytest.mark.slow
@pytest.mark.parametrize("version", ["original", "lite"])
def test_an_older_pipeline_run_leaves_the_older_files(tmp_path: Path, version: str) -> None:
    notebooks, tests = Origin(tmp_path / "notebooks"), Origin(tmp_path / "tests")
    source = "n = 1", "import pathlib; print(n, pathlib.Path('../cells.bin').stat().st_size)"
    write_notebook(notebooks.path / "nb/01_scRNA_analysis_preprocessing.ipynb", *source)
    notebooks.commit("notebooks")
    (tests.path / "input").mkdir()
    (tests.path / "input/.gitkeep").touch()
    (tests.path / "test_page.py").write_text(TEST)
    lite = {"suffix": "_lite", "rules": [{"set": {"n": 2}}]}
    tests.commit(yaml.safe_dump({"variants": {"lite": lite}}), "rules.yaml")
    with data_server.serving(bytes(2_000_000)) as served:
        older = {
            "git-repo-url": notebooks.url,
            "git-revision": "main",
            "notebook-path": "nb/01_scRNA_analysis_preprocessing.ipynb",
            "papermill-kernel": "python3",
            "container-image": "registry.example.com/stepkit:0.1.0-notebook",
            "dataset-url": f"{served.url}/cells.bin",
            "expected-dataset-size-mb": "2",
            "download-timeout-minutes": "5",
            "test-repo-url": tests.url,
            "test-repo-branch": "main",
            "pytest-markers": "single_cell",
            "pipeline-version": version,
        }
        params = converted(older) | {"rules": "tests:rules.yaml", "installer": "none"}

        ended, log = run_local(tmp_path, "notebook-ci", **params)

    assert ended == 0, log
    artifacts, suffix = tmp_path / "work/run-1/artifacts", "_lite" if version == "lite" else ""
    cells = json.loads((artifacts / f"output_analysis{suffix}.ipynb").read_text())["cells"]
    assert cells[1]["outputs"][0]["text"] == [f"{2 if suffix else 1} 2000000\n"]
    with_suffix = "output_analysis.html", "coverage.xml", "pytest_results.xml", "pytest_report.html"
    kept = {path.name for path in artifacts.iterdir()}
    assert {name.replace(".", f"{suffix}.") for name in with_suffix} <= kept
    assert {"papermill.log", "jupyter_nbconvert.log", "pytest_output.log"} <= kept
