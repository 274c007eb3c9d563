"""The examples of PipelineRuns, as run-local runs them: with their params, and with a wrong one."""

import json
from hashlib import sha256
from pathlib import Path

import data_server
import pytest
import yaml
from samples import Origin, write_notebook
from test_pipelines import PIPELINES, repository_of_tests, run_local

pytestmark = pytest.mark.slow

RUNS = [
    path
    for path in sorted((PIPELINES / "runs").glob("*.yaml"))
    if "kind: PipelineRun" in path.read_text()
]
WITH_GPU = [run for run in RUNS if "value: required" in run.read_text()]
BAD = [
    ("gpu", "maybe", "bad-input", "argument --gpu: 'maybe' is none of auto, required"),
    ("run-timeout", "2 hours", "bad-input", "argument --run-timeout: '2 hours' is not a duration"),
    ("parameters", '["-x=1"]', "bad-input", "unknown option -x"),
    ("parameters", '["nope=1"]', "bad-input", "never uses the parameter 'nope'"),
    ("notebook", "notebooks/analisys.ipynb", "not-found", "did you mean analysis.ipynb?"),
    ("rules", "rules/none.yaml", "not-found", "there is no file rules/none.yaml"),
]


def params_of(run: Path) -> dict[str, str]:
    """Return the params of a PipelineRun as --param takes them, with repositories of this test."""
    given = yaml.safe_load(run.read_text())["spec"]["params"]
    values = {item["name"]: item["value"] for item in given}
    return {n: v if isinstance(v, str) else json.dumps(v) for n, v in values.items()}


def repositories(tmp_path: Path) -> dict[str, str]:
    """Make the repositories that the PipelineRuns name; return the params with their addresses."""
    origin, tests = Origin(tmp_path / "notebooks"), repository_of_tests(tmp_path)
    for name in ("analysis", "01_preprocessing", "02_clustering", "03_trajectories"):
        write_notebook(origin.path / f"notebooks/{name}.ipynb", "n = 1", "print('ran', n)")
    origin.commit("notebooks")
    lite = {"suffix": "_lite", "rules": [{"set": {"n": 2}}]}
    tests.commit(yaml.safe_dump({"variants": {"lite": lite}}), "rules/analysis.yaml")
    return {"notebooks-url": origin.url, "tests-url": tests.url}


def run_file(tmp_path: Path, run: Path, **more: str) -> tuple[int, str, str]:
    """Run the Pipeline of a PipelineRun with its params; return exit code, log and summary."""
    values = params_of(run)
    pipeline = yaml.safe_load(run.read_text())["spec"]["pipelineRef"]["name"]
    if pipeline != "dataset-warm":
        values |= {n: v for n, v in repositories(tmp_path).items() if n in values}
    if pipeline == "notebook-ci":
        values |= {"marker": "", "installer": "none"}
    ended, log = run_local(tmp_path, pipeline, **{**values, **more})
    (summary,) = (tmp_path / "work").glob("run-1/artifacts/STEP_SUMMARY*.md")
    return ended, log, summary.read_text()


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there is a GPU")
@pytest.mark.parametrize("run", WITH_GPU, ids=lambda path: path.stem)
def test_an_example_that_needs_a_gpu_says_so_without_one(tmp_path: Path, run: Path) -> None:
    ended, log, summary = run_file(tmp_path, run)

    assert ended == 2, log
    assert "failed** (gpu-missing, exit code 2)" in summary


@pytest.mark.parametrize("name", ["notebook-ci", "notebook-matrix"])
def test_an_example_passes_where_it_needs_no_gpu(tmp_path: Path, name: str) -> None:
    ended, log, summary = run_file(tmp_path, PIPELINES / f"runs/{name}.yaml", gpu="auto")

    assert ended == 0, log
    assert summary.splitlines()[0].endswith(": passed")


def test_the_lite_example_leaves_its_own_files(tmp_path: Path) -> None:
    ended, log, summary = run_file(tmp_path, PIPELINES / "runs/notebook-ci-lite.yaml", gpu="auto")

    assert ended == 0, log
    kept = {path.name for path in (tmp_path / "work/run-1/artifacts").iterdir()}
    assert {"output_analysis_lite.ipynb", "output_analysis_lite.html"} <= kept
    assert "ran 2" in (tmp_path / "work/run-1/artifacts/papermill.log").read_text()
    assert "variant lite" in summary


def test_the_example_that_warms_the_cache_fills_it(tmp_path: Path) -> None:
    content = b"counts " * 1000
    (tmp_path / "work").mkdir()
    with data_server.serving(content) as served:
        dataset = {"url": f"{served.url}/counts.bin", "sha256": sha256(content).hexdigest()}
        manifest = {"datasets": [{**dataset, "path": "counts.bin"}]}
        (tmp_path / "work/datasets.yaml").write_text(yaml.safe_dump(manifest))

        ended, log, summary = run_file(tmp_path, PIPELINES / "runs/dataset-warm.yaml")

    assert ended == 0, log
    assert summary.splitlines()[0].endswith(": passed")
    cached = [path for path in (tmp_path / "work/cache").rglob("*") if path.is_file()]
    assert content in [path.read_bytes() for path in cached]


@pytest.mark.parametrize(("param", "value", "reason", "message"), BAD)
def test_a_wrong_param_is_named_in_the_summary(
    tmp_path: Path, param: str, value: str, reason: str, message: str
) -> None:
    run = PIPELINES / "runs/notebook-ci.yaml"

    ended, log, summary = run_file(tmp_path, run, **{"gpu": "auto", param: value})

    assert ended == 2, log
    assert f"**execute-notebook failed** ({reason}, exit code 2)" in summary
    assert message in summary
    assert "killed" not in summary
    assert "Traceback" not in summary


def test_a_wrong_param_of_a_matrix_is_named_for_each_notebook(tmp_path: Path) -> None:
    ended, log, summary = run_file(tmp_path, PIPELINES / "runs/notebook-matrix.yaml", gpu="maybe")

    assert ended == 2, log
    assert summary.count("**failed** | 0.0 s | argument --gpu: 'maybe' is none of") == 3


def test_a_wrong_manifest_fails_the_warming_of_the_cache(tmp_path: Path) -> None:
    ended, log, summary = run_file(tmp_path, PIPELINES / "runs/dataset-warm.yaml")

    assert ended == 2, log
    assert "**download-dataset failed** (not-found, exit code 2): there is no file" in summary
