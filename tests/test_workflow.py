"""The whole Pipeline, run by run-local from the YAML that a cluster uses."""

import json
import sys
from pathlib import Path
from typing import Any

import commands
import pytest
from junit_files import cases, suites
from samples import Origin, write_notebook

PIPELINE = Path(__file__).parents[1] / "tasks/pipelines/notebook-ci.yaml"

WRITTEN_LAST = {"run.json", "metadata.json", "report.html", "STEP_SUMMARY.md"}
ARTIFACTS = {
    "output_analysis.ipynb",
    "output_analysis.html",
    "output_analysis.timeline.json.gz",
    "output_analysis.progress.json",
    "notebook_cells.xml",
    "metrics.prom",
    "papermill.log",
    "jupyter_nbconvert.log",
    "coverage.xml",
    "pytest_results.xml",
    "pytest_report.html",
    "pytest_output.log",
    "manifest.json",
    "SHA256SUMS",
    *WRITTEN_LAST,
}

TESTS = """\
from pathlib import Path

import pytest


@pytest.mark.single_cell
def test_page():
    page = Path(__file__).with_name("input").joinpath("std_output_analysis{suffix}.html")
    assert "{wanted}" in page.read_text()
"""


class Run:
    """One run of the Pipeline, and the files that it wrote."""

    def __init__(self, directory: Path, name: str) -> None:
        self.place = directory / "work" / name
        self.directory = directory
        self.exit_code = -1
        self.log = ""
        self.command: list[str] = []

    @property
    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.place / "artifacts/run.json").read_text())
        return record

    def resumed(self, name: str) -> "Run":
        """Run the same again under another name, as a resumption of this one."""
        again = Run(self.directory, name)
        again.command = [part.replace(f"={self.place.name}", f"={name}") for part in self.command]
        again.command.append(f"--resume={self.place.name}")
        again.start()
        return again

    def start(self) -> None:
        done = commands.run(*self.command, timeout=120)
        self.exit_code, self.log = done.returncode, done.stderr

    @property
    def artifacts(self) -> set[str]:
        return {path.name for path in (self.place / "artifacts").iterdir()}

    @property
    def summary(self) -> str:
        (path,) = (self.place / "artifacts").glob("STEP_SUMMARY*.md")
        return path.read_text()

    def report(self, task: str) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.place / f"reports/{task}.json").read_text())
        return report


def run(
    tmp_path: Path,
    *sources: str,
    wanted: str,
    suffix: str = "",
    params: str = "[]",
    attempts: int = 1,
) -> Run:
    notebooks = Origin(tmp_path / "notebooks")
    write_notebook(notebooks.path / "nb/a.ipynb", *sources, tags={0: ["parameters"]})
    notebooks.commit("notebook")
    tests = Origin(tmp_path / "tests")
    (tests.path / "test_page.py").write_text(TESTS.format(suffix=suffix, wanted=wanted))
    (tests.path / "pytest.ini").write_text("[pytest]\nmarkers = single_cell: of the page\n")
    (tests.path / "input").mkdir()
    (tests.path / "input/.gitkeep").touch()
    tests.commit("tests")
    outcome = Run(tmp_path, "ci-1")
    given = {
        "notebooks-url": notebooks.url,
        "notebook": "nb/a.ipynb",
        "tests-url": tests.url,
        "installer": "none",
        "suffix": suffix,
        "parameters": params,
        "attempts": str(attempts),
    }
    command = [sys.executable, "-P", "-m", "stepkit", "run-local", str(PIPELINE), "--run=ci-1"]
    command += [f"--workspace=shared={tmp_path}/work", f"--report={tmp_path}/report.json"]
    outcome.command = [*command, "--param", *(f"{n}={value}" for n, value in given.items())]
    outcome.start()
    return outcome


def test_a_good_notebook_passes_and_leaves_every_artifact(tmp_path: Path) -> None:
    done = run(tmp_path, "n = 1", "print('clusters:', n)", wanted="clusters: 1")

    assert done.exit_code == 0, done.log
    assert done.artifacts == ARTIFACTS
    assert "a.ipynb: passed" in done.summary.splitlines()[0]
    headings = [line for line in done.summary.splitlines() if line.startswith("## Tests")]
    assert headings == ["## Tests: 1 of 1 passed, coverage of the tests' repository 100 %"]
    manifest = json.loads((done.place / "artifacts/manifest.json").read_text())
    listed = {artifact["path"] for artifact in manifest["artifacts"]}
    unlisted = {"manifest.json", "SHA256SUMS", "output_analysis.progress.json"}
    assert listed == ARTIFACTS - WRITTEN_LAST - unlisted


@pytest.mark.slow
def test_a_run_without_tests_passes_and_says_so(tmp_path: Path) -> None:
    done = run(tmp_path, "n = 1", "print('clusters:', n)", wanted="unused")
    done.place = tmp_path / "work/ci-2"
    done.command = [
        "--run=ci-2" if part == "--run=ci-1" else part
        for part in done.command
        if not part.startswith("tests-url=")
    ]
    done.start()

    assert done.exit_code == 0, done.log
    assert done.summary.splitlines()[0].endswith("a.ipynb: passed")
    assert "9 steps, 4 of them not asked for, all others succeeded" in done.summary
    record = json.loads((done.place / "artifacts/run.json").read_text())
    statuses = {step["name"]: step["status"] for step in record["steps"]}
    names = ("clone-tests", "clone-config", "prepare-tests", "run-tests")
    assert [statuses[name] for name in names] == ["not-asked-for"] * 4
    assert (record["tests"], record["not_run"]) == ([], [])
    assert done.artifacts == {
        name for name in ARTIFACTS if not name.startswith(("pytest_", "coverage"))
    }


@pytest.mark.slow
def test_a_variant_differs_only_by_parameters_and_suffix(tmp_path: Path) -> None:
    sources = ("n = 1", "print('clusters:', n)")

    done = run(tmp_path, *sources, wanted="clusters: 3", suffix="_lite", params='["n=3"]')

    assert done.exit_code == 0, done.log
    assert {"output_analysis_lite.ipynb", "output_analysis_lite.html"} <= done.artifacts
    assert {"coverage_lite.xml", "pytest_results_lite.xml"} <= done.artifacts
    assert "notebook_cells_lite.xml" in done.artifacts
    assert {"papermill.log", "STEP_SUMMARY_lite.md"} <= done.artifacts


@pytest.mark.slow
def test_a_run_leaves_the_files_of_an_earlier_one_and_uses_none_of_them(tmp_path: Path) -> None:
    done = run(tmp_path, "n = 1", "print('clusters:', n)", wanted="clusters: 1")
    assert done.artifacts == ARTIFACTS
    done.command[done.command.index("parameters=[]")] = 'parameters=["m=3"]'
    before = {path: path.stat().st_mtime_ns for path in done.place.rglob("*")}

    done.start()

    assert done.exit_code == 2
    assert f"--run ci-1: {done.place} is an earlier run, which stays as it is" in done.log
    assert {path: path.stat().st_mtime_ns for path in done.place.rglob("*")} == before
    done.place = tmp_path / "work/ci-2"
    done.command[done.command.index("--run=ci-1")] = "--run=ci-2"

    done.start()

    assert done.report("execute-notebook")["reason"] == "bad-input", done.log
    written = {"notebook_cells.xml", "metrics.prom"}
    assert done.artifacts == {*written, "manifest.json", "SHA256SUMS", *WRITTEN_LAST}
    reasons = [done.report(task)["reason"] for task in ("convert-notebook", "run-tests")]
    assert reasons == ["not-found", "artifact-missing"]
    assert done.report("collect-artifacts")["outputs"]["count"] == 2
    (cells,) = suites(done.place / "artifacts/notebook_cells.xml")
    ((name, kind, message),) = cases(cells)
    assert (name, kind) == ("the whole run", "error")
    assert "m" in message


@pytest.mark.slow
def test_a_failed_notebook_is_converted_and_tested_and_fails_the_run(tmp_path: Path) -> None:
    done = run(tmp_path, "print('kept')", "{}['pca']", "3", wanted="clusters")

    assert done.exit_code == 3
    assert done.artifacts == ARTIFACTS
    assert done.report("execute-notebook")["reason"] == "cell-error"
    assert done.report("convert-notebook")["status"] == "succeeded"
    assert done.report("run-tests")["reason"] == "tests-failed"
    verdict = done.summary.splitlines()[2]
    assert verdict.startswith("**execute-notebook failed** (cell-error, exit code 3): cell 2 of 3")
    assert "KeyError: 'pca'" in verdict
    final = json.loads((tmp_path / "report.json").read_text())
    assert (final["status"], final["reason"], final["exit_code"]) == ("failed", "cell-error", 3)


@pytest.mark.slow
def test_a_failed_test_fails_the_run(tmp_path: Path) -> None:
    done = run(tmp_path, "print('clusters: 1')", wanted="clusters: 9")

    assert done.exit_code == 3
    assert done.report("execute-notebook")["status"] == "succeeded"
    verdict = done.summary.splitlines()[2]
    assert verdict.startswith("**run-tests failed** (tests-failed, exit code 3)")
    assert "## Tests: 0 of 1 passed" in done.summary


@pytest.mark.slow
def test_a_killed_kernel_fails_the_run_with_a_tool_error(tmp_path: Path) -> None:
    kill = "import os; os.system(f'kill -9 {os.getpid()}')"  # by another process

    done = run(tmp_path, "print('clusters: 1')", kill, "3", wanted="clusters: 1")

    assert done.exit_code == 4
    assert done.artifacts == ARTIFACTS
    verdict = done.summary.splitlines()[2]
    assert "killed by SIGKILL in cell 2 of 3" in verdict
    assert "exit code 4" in verdict
    assert "## Notebook: 1 cell ok, 1 stopped, 1 not run" in done.summary
    assert "## Tests: 1 of 1 passed" in done.summary


@pytest.mark.slow
def test_a_notebook_that_passes_when_it_runs_again_makes_the_run_flaky_and_resumed_it_stays_so(
    tmp_path: Path,
) -> None:
    dies_once = (
        f"import os, pathlib\nmemory = pathlib.Path({str(tmp_path / 'memory')!r})\n"
        "if not memory.exists():\n    memory.touch()\n    os.kill(os.getpid(), 9)\n"
    )

    done = run(tmp_path, "print('clusters: 1')", dies_once, wanted="clusters: 1", attempts=2)

    assert done.exit_code == 0, done.log
    assert done.record["verdict"] == "flaky"
    assert "a.ipynb: flaky: 1 notebook had to run again" in done.summary.splitlines()[0]
    assert json.loads((tmp_path / "report.json").read_text())["status"] == "flaky"
    kept = "artifacts/output_analysis.attempt-1.ipynb"
    assert (done.place / kept).exists()
    assert "<flakyFailure" in (done.place / "artifacts/notebook_cells.xml").read_text()

    again = done.resumed("ci-2")

    assert again.exit_code == 0, again.log
    assert again.record["notebooks"][0]["status"] == "reused"
    assert again.record["verdict"] == "flaky"
    assert (again.place / kept).read_bytes() == (done.place / kept).read_bytes()


@pytest.mark.slow
def test_bad_input_is_the_verdict_and_the_next_tasks_say_what_they_lack(tmp_path: Path) -> None:
    done = run(tmp_path, "n = 1", wanted="x", params='["m=3"]')

    assert done.exit_code == 2
    assert "has no parameter 'm'" in done.summary.splitlines()[2]
    assert done.report("convert-notebook")["message"].startswith("there is no notebook")
    assert done.report("run-tests")["message"].startswith("there is no input")


@pytest.mark.slow
def test_a_missing_repository_stops_the_run_early(tmp_path: Path, origin: Origin) -> None:
    url = "file:///no/such/repository"
    given = [f"notebooks-url={url}", "notebook=a.ipynb", f"tests-url={origin.url}"]
    flags = ["--workspace", f"shared={tmp_path}/work", "--param", *given]

    done = commands.stepkit("run-local", PIPELINE, "--run=ci-1", *flags)

    assert done.returncode == 2
    summary = (tmp_path / "work/ci-1/artifacts/STEP_SUMMARY.md").read_text()
    assert "**clone-notebooks failed** (not-found, exit code 2)" in summary
    assert "| clone-tests | succeeded |" in summary
    assert "| execute-notebook | not run |" in summary
    assert "| prepare-tests | not run |" in summary


@pytest.mark.slow
def test_a_wrong_test_that_was_mended_does_not_cost_the_notebook_again(tmp_path: Path) -> None:
    sources = ("n = 1", "import time; print('began', time.time(), 'clusters:', n)")
    first = run(tmp_path, *sources, wanted="clusters: 2")
    assert first.exit_code == 3, first.log
    Origin(tmp_path / "tests").commit(TESTS.format(suffix="", wanted="clusters: 1"), "test_page.py")

    second = first.resumed("ci-2")

    assert second.exit_code == 0, second.log
    statuses = {step["name"]: step["status"] for step in second.record["steps"]}
    assert {name for name, status in statuses.items() if status == "reused"} == {
        "execute-notebook", "convert-notebook",
    }  # fmt: skip
    assert statuses["run-tests"] == "succeeded"
    assert second.record["headline"] == "passed, 2 steps reused from ci-1"
    assert "a.ipynb: passed, 2 steps reused from ci-1" in second.summary.splitlines()[0]
    (notebook,) = second.record["notebooks"]
    assert (notebook["status"], notebook["reused_from"]) == ("reused", "ci-1")
    assert notebook["duration_ms"] == first.record["notebooks"][0]["duration_ms"]
    assert all(cell["start_ms"] >= notebook["start_ms"] > 0 for cell in notebook["cells"])
    assert second.artifacts == ARTIFACTS
    page = "artifacts/output_analysis.html"
    assert (second.place / page).read_bytes() == (first.place / page).read_bytes()
    assert "2 reused from ci-1" in second.log
    assert "run-tests runs again, nothing of ci-1 is reused: it failed there" in second.log

    third = second.resumed("ci-3")

    assert third.exit_code == 0, third.log
    assert third.record["headline"] == "passed, 3 steps reused from ci-1 and ci-2"
