"""notify --published-by: messages link to the report that another step publishes meanwhile."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from message_servers import Web, web
from step_reports import write_report

from stepkit.steps import notify
from stepkit.steps.notify import Options

PAGE = "https://pages.example.com/run-7/report.html"
ELSEWHERE = "https://dashboard.example.com/run-7"
BEGUN = {"status": "failed", "reason": "killed", "exit_code": None, "message": "never ended"}


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as state:
        yield state


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    directory = tmp_path / "reports"
    write_report(directory, "execute-notebook", outputs={"cells-run": 9, "cells-total": 9})
    return directory


def publish(reports: Path, **values: Any) -> None:
    usual = {"outputs": {"url": PAGE, "location": "s3://runs/run-7"}}
    write_report(reports, "publish-artifacts", **{**usual, **values})


def sent_link(reports: Path, server: Web, **more: Any) -> str:
    """Return the link of the message that is sent."""
    usual = {"link": ELSEWHERE, "published_by": reports / "publish-artifacts.json"}
    notify.run(Options(reports=reports, webhook=server.url, **{**usual, **more}))
    (request,) = server.requests
    return str(request.json["link"])


def test_the_published_address_is_sent(reports: Path, server: Web) -> None:
    publish(reports)

    assert sent_link(reports, server, published_to="s3://runs") == PAGE


@pytest.mark.slow
def test_a_step_that_still_publishes_is_waited_for(reports: Path, server: Web) -> None:
    begin = threading.Timer(0.2, publish, (reports,), BEGUN)
    end = threading.Timer(0.8, publish, (reports,))
    begin.start()
    end.start()

    link = sent_link(reports, server, published_to="s3://runs", published_timeout=60.0)

    assert link == PAGE
    end.join()


@pytest.mark.parametrize(("report", "state"), [(None, "did not come"), (BEGUN, "has not ended")])
def test_after_the_limit_the_other_link_is_sent(
    reports: Path,
    server: Web,
    caplog: pytest.LogCaptureFixture,
    report: dict[str, Any] | None,
    state: str,
) -> None:
    if report:
        publish(reports, **report)

    link = sent_link(reports, server, published_to="s3://runs", published_timeout=0.1)

    assert link == ELSEWHERE
    path = reports / "publish-artifacts.json"
    assert f"waited 0.1 s for the published address: {path} {state}" in caplog.text


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        (
            {"status": "failed", "reason": "auth", "exit_code": 2, "message": "HTTP 403"},
            "there is no published address: publish-artifacts: HTTP 403",
        ),
        ({"outputs": {"url": ""}}, "has no web address: set url-base of publish-artifacts"),
        ({"outputs": {"url": "javascript:alert(1)"}}, "has no web address"),
        ({"outputs": {"url": 7}}, "there is no published address"),
        ({"outputs": {}}, "has no web address"),
    ],
)
def test_without_an_address_the_other_link_is_sent(
    reports: Path,
    server: Web,
    caplog: pytest.LogCaptureFixture,
    values: dict[str, Any],
    warning: str,
) -> None:
    publish(reports, **values)

    assert sent_link(reports, server, published_to="s3://runs") == ELSEWHERE

    assert warning in caplog.text


def test_a_torn_report_of_the_step_costs_the_link_alone(
    reports: Path, server: Web, caplog: pytest.LogCaptureFixture
) -> None:
    (reports / "publish-artifacts.json").write_text('{"schema"')

    assert sent_link(reports, server, published_to="s3://runs") == ELSEWHERE

    assert "its report publish-artifacts.json cannot be read" in caplog.text


def test_where_nothing_is_published_nothing_is_waited_for(
    reports: Path, server: Web, caplog: pytest.LogCaptureFixture
) -> None:
    assert sent_link(reports, server, published_timeout=3.0) == ELSEWHERE

    assert "published" not in caplog.text


def test_a_report_that_is_there_is_read_without_a_wait(
    reports: Path, server: Web, caplog: pytest.LogCaptureFixture
) -> None:
    publish(reports, **BEGUN)

    assert sent_link(reports, server, published_timeout=3.0) == ELSEWHERE

    assert "waited 0 s for the published address" in caplog.text


def test_without_a_channel_nothing_is_waited_for(
    reports: Path, caplog: pytest.LogCaptureFixture
) -> None:
    report = reports / "publish-artifacts.json"
    given: dict[str, Any] = {"published_by": report, "published_to": "s3://runs"}

    outputs = notify.run(Options(reports=reports, published_timeout=3.0, **given))

    assert outputs.told == 0
    assert "waited" not in caplog.text


def test_the_commit_status_leads_to_the_published_page(reports: Path, server: Web) -> None:
    publish(reports)

    notify.run(
        Options(
            reports=reports,
            commit_status_repository="lab/notebooks",
            commit="0123456789abcdef0123456789abcdef01234567",
            api_url=server.url,
            token="ghs_secret",
            published_by=reports / "publish-artifacts.json",
        )
    )

    assert json.loads(server.requests[0].body)["target_url"] == PAGE
