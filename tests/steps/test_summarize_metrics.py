"""summarize pushes the figures of a run, and no Pushgateway changes its verdict."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import commands
import pytest
from message_servers import Web, web
from pushgateway_server import groups, pushgateway
from step_reports import write_report

from stepkit.steps import summarize
from stepkit.steps.summarize import Options, Outputs


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    directory = tmp_path / "reports"
    write_report(directory, "git-clone", outputs={"commit": "1234567890abcdef"})
    return directory


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as state:
        yield state


def run(reports: Path, **more: Any) -> Outputs:
    summary = reports.parent / "out/STEP_SUMMARY.md"
    return summarize.run(Options(reports=reports, summary=summary, **more))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_metrics_of_the_run_are_pushed_once_its_files_are_written(
    reports: Path, server: Web, caplog: pytest.LogCaptureFixture
) -> None:
    run(reports, metrics_push=server.url, metrics_labels=("pipeline=notebook-ci",))

    (request,) = server.requests
    text = request.body.decode()
    assert "\nstepkit_run_success 1\n" in text
    assert 'stepkit_run_step_duration_seconds{step="git-clone"} 1.5\n' in text
    assert warnings(caplog) == []


def test_without_an_address_nothing_is_pushed(reports: Path, server: Web) -> None:
    run(reports, metrics_labels=("pipeline=notebook-ci",))

    assert server.requests == []


@pytest.mark.parametrize("status", [400, 401, 404, 500, 503])
def test_a_gateway_that_refuses_is_one_warning(
    reports: Path, server: Web, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    server.statuses = [status]

    outputs = run(reports, metrics_push=server.url)

    (warning,) = warnings(caplog)
    begin = f"the metrics of the run were not pushed: {server.url}: the server answered HTTP"
    assert warning.startswith(f"{begin} {status}: ")
    assert outputs.verdict == "passed"
    names = {path.name for path in (reports.parent / "out").iterdir()}
    assert names == {"STEP_SUMMARY.md", "report.html", "run.json", "metadata.json"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics_push": "http://127.0.0.1:1"}, "http://127.0.0.1:1/metrics/job/stepkit/"),
        ({"metrics_push": "gateway"}, "is not an https:// or http:// address"),
        ({"metrics_push": "http://127.0.0.1:1", "metrics_labels": ("a",)}, "write NAME=VALUE"),
    ],
)
def test_a_gateway_that_is_down_or_named_wrongly_is_one_warning(
    reports: Path, caplog: pytest.LogCaptureFixture, options: dict[str, Any], message: str
) -> None:
    outputs = run(reports, **options)

    (warning,) = warnings(caplog)
    assert warning.startswith("the metrics of the run were not pushed: ")
    assert message in warning
    assert outputs.verdict == "passed"


def test_a_gateway_changes_neither_the_exit_code_of_a_failed_run_nor_shows_a_secret(
    reports: Path, server: Web
) -> None:
    failed = {"status": "failed", "reason": "cell-error", "exit_code": 3, "message": "KeyError"}
    write_report(reports, "execute-notebook", **failed)
    server.always = 500

    done = commands.stepkit(
        "summarize", "--reports", reports, "--summary", reports.parent / "STEP_SUMMARY.md",
        "--enforce", "--metrics-push", server.url, "--report", reports.parent / "summarize.json",
        env={"PATH": "/usr/bin:/bin", "METRICS_PUSH_TOKEN": "s3cret-token"},
    )  # fmt: skip

    assert done.returncode == 3
    assert server.requests[0].headers["authorization"] == "Bearer s3cret-token"
    assert done.stderr.count("not pushed") == 1
    written = [path.read_text() for path in reports.parent.iterdir() if path.is_file()]
    assert not [text for text in (done.stdout, done.stderr, *written) if "s3cret-token" in text]


def test_a_pushgateway_shows_the_figures_of_the_last_run(reports: Path) -> None:
    with pushgateway() as url:
        run(reports, metrics_push=url, title="a.ipynb")
        run(reports, metrics_push=url, title="a.ipynb", expect=("git-clone", "execute-notebook"))
        (found,) = groups(url)

    assert found["labels"]["title"] == "a.ipynb"
    (value,) = found["stepkit_run_success"]["metrics"]
    assert value["value"] == "0"
