"""summarize writes run.json: where, in which order, and what it says of where the run was."""

import json
from pathlib import Path
from typing import Any

import pytest
import run_records
from recorded import summarized
from step_reports import write_report

from stepkit.cli import main as cli
from stepkit.errors import ConfigurationError, Reason, ToolError, UserCodeError
from stepkit.steps import summarize

FAILED = {"status": "failed", "reason": "cell-error", "exit_code": 3, "message": "KeyError"}
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return the directory of a run with one report."""
    write_report(tmp_path / "reports", "execute-notebook", message="2 of 2 cells ran")
    return tmp_path


def by_command_line(run: Path, *flags: str) -> dict[str, Any]:
    """Return the identity of a run that a command in this environment summarized."""
    words = [f"--reports={run}/reports", f"--summary={run}/artifacts/STEP_SUMMARY.md", *flags]
    assert cli.main(["summarize", *words]) == 0
    record = json.loads((run / "artifacts/run.json").read_bytes())
    run_records.validate(record)
    identity: dict[str, Any] = record["identity"]
    return identity


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


@pytest.mark.parametrize(
    ("summary", "suffix"),
    [("STEP_SUMMARY.md", ""), ("STEP_SUMMARY_lite.md", "_lite"), ("page.md", "")],
)
def test_record_and_page_are_beside_the_summary_with_its_suffix(
    run: Path, summary: str, suffix: str
) -> None:
    record = summarized(run, summary=run / "out" / summary)

    assert record["verdict"] == "passed"
    written = (f"run{suffix}.json", f"metadata{suffix}.json", f"report{suffix}.html", summary)
    assert names(run / "out") == {*written}
    assert "✓</span>Passed" in (run / f"out/report{suffix}.html").read_text(encoding="utf-8")
    assert f"(report{suffix}.html)" in (run / "out" / summary).read_text(encoding="utf-8")


def test_the_record_goes_where_it_is_asked_to(run: Path) -> None:
    record = summarized(run, run=run / "records/1.json")

    assert record["steps"][0]["report"] == "../reports/execute-notebook.json"
    assert names(run / "records") == {"1.json"}
    assert names(run / "artifacts") == {"STEP_SUMMARY.md", "report.html", "metadata.json"}


def test_a_page_elsewhere_links_to_the_files_of_the_run(run: Path) -> None:
    log = run / "artifacts/papermill log.txt"
    log.parent.mkdir()
    log.write_text("log")
    listed = {"path": str(log), "size": 3, "sha256": SHA256}
    write_report(run / "reports", "execute-notebook", artifacts=[listed])

    summarized(run, html=run / "web/page.html")

    assert 'href="../artifacts/papermill%20log.txt"' in (run / "web/page.html").read_text()
    assert "page.html" not in (run / "artifacts/STEP_SUMMARY.md").read_text(), "it is not there"
    assert not (run / "artifacts/report.html").exists()


def test_the_record_comes_first_and_the_summary_last(run: Path) -> None:
    summarized(run)

    written = sorted((run / "artifacts").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert [path.name for path in written] == [
        "run.json",
        "metadata.json",
        "report.html",
        "STEP_SUMMARY.md",
    ]


def test_a_page_that_cannot_be_written_fails_the_step_and_leaves_the_others(run: Path) -> None:
    (run / "artifacts/report.html").mkdir(parents=True)

    with pytest.raises(ConfigurationError, match=r"report\.html: it exists and is not a") as caught:
        summarized(run)

    assert "report.html" not in (run / "artifacts/STEP_SUMMARY.md").read_text()
    assert (run / "artifacts/run.json").is_file()
    assert isinstance(caught.value.outputs, summarize.Outputs)
    assert caught.value.outputs.html is None


def test_a_pdf_that_cannot_be_made_fails_the_step_once_all_else_is_written(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(ConfigurationError, match="needs Chromium") as caught:
        summarized(run, pdf=run / "artifacts/report.pdf")

    assert names(run / "artifacts") == {
        "run.json",
        "metadata.json",
        "report.html",
        "STEP_SUMMARY.md",
    }
    assert isinstance(caught.value.outputs, summarize.Outputs)
    assert (caught.value.outputs.html, caught.value.outputs.pdf) == (
        run / "artifacts/report.html",
        None,
    )


def test_reports_that_are_torn_or_hostile_have_a_page(run: Path) -> None:
    (run / "reports/torn.json").write_text('{"schema": "stepkit.rep')
    write_report(run / "reports", "git-clone", message="<script>alert(1)</script>")

    summarized(run)

    page = (run / "artifacts/report.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in page
    assert "its report torn.json cannot be read" in page


def test_a_summary_of_nothing_has_a_record_of_nothing(tmp_path: Path) -> None:
    options = summarize.Options(reports=tmp_path / "reports", summary=tmp_path / "STEP_SUMMARY.md")

    with pytest.raises(ConfigurationError, match="there are no reports"):
        summarize.run(options)

    record = json.loads((tmp_path / "run.json").read_bytes())
    run_records.validate(record)
    assert (record["verdict"], record["steps"], record["started"]) == ("incomplete", [], None)


def test_a_record_that_cannot_be_written_fails_the_step_and_leaves_the_summary(run: Path) -> None:
    (run / "artifacts/run.json").mkdir(parents=True)

    with pytest.raises(ConfigurationError, match=r"run\.json: it exists and is not a regular file"):
        summarized(run)

    assert (run / "artifacts/STEP_SUMMARY.md").read_text().startswith("# ")
    assert (run / "artifacts/run.json").is_dir()


def test_a_full_disk_leaves_no_record_of_an_earlier_run(run: Path, small_disk: Path) -> None:
    earlier = small_disk / "run.json"
    earlier.write_text("{}")
    with pytest.raises(OSError, match="No space"), (small_disk / "filler").open("wb") as filler:
        filler.write(b"x" * 10_000_000)

    with pytest.raises(ToolError, match="No space left on device") as caught:
        summarized(run, run=earlier)

    assert caught.value.reason == Reason.DISK_FULL
    assert not earlier.exists()
    assert (run / "artifacts/STEP_SUMMARY.md").exists()


def test_the_verdict_counts_more_than_a_record_that_cannot_be_written(run: Path) -> None:
    write_report(run / "reports", "execute-notebook", **FAILED)
    (run / "artifacts/run.json").mkdir(parents=True)

    with pytest.raises(UserCodeError, match="execute-notebook: KeyError") as caught:
        summarized(run, enforce=True)

    assert isinstance(caught.value.outputs, summarize.Outputs)
    assert caught.value.outputs.run is None


GITHUB = {
    "GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "lab/notebooks", "GITHUB_RUN_ID": "77",
}  # fmt: skip
CI = {
    "github": (GITHUB, "https://github.com/lab/notebooks/actions/runs/77"),
    "gitlab": (
        {"GITLAB_CI": "true", "CI_PIPELINE_URL": "https://me:pw@gitlab.com/a/-/pipelines/7"},
        "https://***@gitlab.com/a/-/pipelines/7",
    ),
    "jenkins": (
        {"JENKINS_URL": "https://ci.example.org", "BUILD_URL": "https://ci.example.org/job/7"},
        "https://ci.example.org/job/7",
    ),
    "local": ({}, None),
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Empty the environment of what a CI system sets."""
    for variables, _ in CI.values():
        for name in variables:
            monkeypatch.delenv(name, raising=False)
    for name in ("GITHUB_STEP_SUMMARY", "STEPKIT_IMAGE", "STEPKIT_COMMIT"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize("host", CI)
def test_the_environment_says_what_ran_it_and_where_to_find_it(
    run: Path, environment: pytest.MonkeyPatch, host: str
) -> None:
    variables, url = CI[host]
    for name, value in variables.items():
        environment.setenv(name, value)

    identity = by_command_line(run)

    assert (identity["host"], identity["url"]) == (host, url)
    assert (identity["image"], identity["image_digest"]) == (None, None)


@pytest.mark.usefixtures("environment")
def test_the_image_of_a_pod_is_known_where_there_are_pods(run: Path) -> None:
    image = "--pod-image=registry.example.org/stepkit:1"

    on_a_laptop = by_command_line(run, image)
    on_a_cluster = by_command_line(run, image, "--host=tekton")

    assert (on_a_laptop["host"], on_a_laptop["image"]) == ("local", None)
    assert on_a_cluster["image"] == "registry.example.org/stepkit:1"


def test_half_an_environment_gives_no_address(run: Path, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("GITHUB_RUN_ID", "77")

    assert by_command_line(run)["url"] is None


def test_flags_say_it_before_the_environment_does(
    run: Path, environment: pytest.MonkeyPatch
) -> None:
    for name, value in GITHUB.items():
        environment.setenv(name, value)
    environment.setenv("STEPKIT_COMMIT", "97959ef3")

    identity = by_command_line(
        run, "--host=tekton", "--run-url=https://dashboard/run-1",
        f"--image=registry.example.org/stepkit:1@sha256:{SHA256}",
    )  # fmt: skip

    assert (identity["host"], identity["url"]) == ("tekton", "https://dashboard/run-1")
    assert identity["image"] == "registry.example.org/stepkit:1"
    assert (identity["image_digest"], identity["stepkit_commit"]) == (
        f"sha256:{SHA256}",
        "97959ef3",
    )


def test_metadata_of_a_notebook_s_own_stay(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = run / "artifacts/metadata_lite.json"
    own.parent.mkdir()
    own.write_text('{"model": "umap"}')

    summarized(run, summary=run / "artifacts/STEP_SUMMARY_lite.md")

    assert own.read_text() == '{"model": "umap"}'
    assert f"{own} is another program's: it stays, and the run has no metadata" in caplog.text
    own.unlink()
    summarized(run, summary=run / "artifacts/STEP_SUMMARY_lite.md")
    assert json.loads(own.read_text())["schema"] == "stepkit.metadata/1"
