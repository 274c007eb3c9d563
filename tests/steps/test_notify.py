import base64
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import commands
import published_schemas
import pytest
from data_server import dripping
from message_servers import Web, web
from step_reports import write_report

from stepkit.cli import main as cli
from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.steps import notify, summarize
from stepkit.steps.notify import Options, Outputs

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HOOK = "3ccdd113474722377935511fc85d3dd4"  # as long as Mattermost's are
PASSED = {"cells-run": 9, "cells-total": 9}


@pytest.fixture
def passed(tmp_path: Path) -> Path:
    directory = tmp_path / "reports"
    url = {"url": "https://git.example.com/notebooks"}
    write_report(directory, "git-clone", outputs={"commit": COMMIT, **url}, options=url)
    options = {"notebook": "source/analysis.ipynb"}
    write_report(directory, "execute-notebook", outputs=PASSED, options=options)
    write_report(directory, "run-tests", outputs={"total": 5, "passed": 5})
    return directory


@pytest.fixture
def failed(passed: Path) -> Path:
    write_report(
        passed, "execute-notebook", status="failed", reason="cell-error", exit_code=3,
        message="cell 4: KeyError: 'pca'", outputs={"cells-run": 4, "cells-total": 9},
        options={"notebook": "source/analysis.ipynb"},
    )  # fmt: skip
    write_report(passed, "run-tests", outputs={"total": 5, "passed": 3}, status="failed",
           reason="tests-failed", exit_code=3, message="2 of 5 tests failed")  # fmt: skip
    return passed


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as state:
        yield state


def run(reports: Path, **more: Any) -> Outputs:
    return notify.run(Options(reports=reports, **more))


def error_of(reports: Path, **more: Any) -> StepError:
    with pytest.raises(StepError) as caught:
        run(reports, **more)
    return caught.value


def refused(reports: Path, **more: Any) -> str:
    """Return the message of the ConfigurationError that a notification ends with."""
    error = error_of(reports, **more)
    assert isinstance(error, ConfigurationError)
    return str(error)


def status_options(server: Web, **more: Any) -> dict[str, Any]:
    usual = {"commit_status_repository": "lab/notebooks", "commit": COMMIT, "api_url": server.url}
    return {**usual, "token": "ghs_secret", **more}


def chat(server: Web, path: str = HOOK) -> str:
    """Return a URL of the Mattermost kind, whose hooks are like Slack's."""
    return f"mmost://{server.url.removeprefix('http://')}/{path}"


def test_a_webhook_gets_the_verdict_then_the_cause(failed: Path, server: Web) -> None:
    link = "https://pages.example.com/run-7/"

    outputs = run(failed, webhook=f"{server.url}/services/T0/B0/token", title="Lab", link=link)

    (request,) = server.requests
    assert request.path == "/services/T0/B0/token"
    assert request.headers["content-type"] == "application/json"
    assert request.json["text"].splitlines() == [
        "Lab: failed",
        "execute-notebook failed (cell-error): cell 4: KeyError: 'pca'",
        "analysis.ipynb: 4 of 9 cells ran",
        "tests: 3 of 5 passed",
        "took 1.5 s, 0123456789ab of https://git.example.com/notebooks",
        link,
    ]
    assert request.json["schema"] == "stepkit.notification/1"
    assert published_schemas.problems(request.json) == []
    assert (request.json["verdict"], request.json["title"]) == ("failed", "Lab")
    assert request.json["steps"]["execute-notebook"] == "failed"
    assert (outputs.verdict, outputs.told) == ("failed", 1)
    assert outputs.message == "failed: 1 of 1 channels notified"


def test_the_verdict_is_the_one_of_summarize(failed: Path, tmp_path: Path, server: Web) -> None:
    statuses = ("git-clone=Succeeded", "convert-notebook=Failed")
    given: dict[str, Any] = {"expect": ("git-clone", "convert-notebook"), "statuses": statuses}
    summary = tmp_path / "STEP_SUMMARY.md"
    page = summarize.run(summarize.Options(reports=failed, summary=summary, **given))

    outputs = run(failed, webhook=server.url, **given)

    assert outputs.verdict == page.verdict
    assert server.requests[0].json["cause"].startswith("convert-notebook failed (killed)")
    assert page.message.startswith("the run failed: convert-notebook")


@pytest.mark.parametrize(
    ("expect", "cause"),
    [(("git-clone", "run-tests"), "not run: git-clone, run-tests"), ((), "nothing ran")],
)
def test_a_run_without_reports_is_incomplete(
    tmp_path: Path, server: Web, expect: tuple[str, ...], cause: str
) -> None:
    outputs = run(tmp_path / "none", webhook=server.url, expect=expect)

    assert outputs.verdict == server.requests[0].json["verdict"] == "incomplete"
    assert cause in server.requests[0].json["text"]


def test_the_message_counts_tolerated_errors(passed: Path, server: Web) -> None:
    cell = {"number": 1, "seconds": 1.0, "title": "x", "injected": "",
            "status": "tolerated", "error": {"ename": "KeyError", "evalue": "pca"}}  # fmt: skip
    outputs = {**PASSED, "cells": [cell]}
    write_report(passed, "execute-notebook", status="tolerated", outputs=outputs)

    run(passed, webhook=server.url)

    assert server.requests[0].json["text"].splitlines()[:2] == [
        "Notebook run: passed with 1 tolerated error",
        "execute-notebook: 9 of 9 cells ran",
    ]


def test_mentions_in_the_error_of_a_notebook_are_defused(passed: Path, server: Web) -> None:
    text = "<!channel> @everyone\n# [a](http://x)"
    write_report(passed, "execute-notebook", status="failed", exit_code=3, reason="x", message=text)

    run(passed, webhook=server.url)

    text = server.requests[0].json["text"]
    assert "<!channel>" not in text
    assert "@everyone" not in text
    assert "<\u200b!channel> @\u200beveryone # [a](http://x)" in text


def test_several_notebooks_are_counted(passed: Path, server: Web) -> None:
    notebook = {"name": "a", "status": "passed", "message": "", "until": "", "seconds": 1.0,
                "cells_run": 1, "cells_total": 1, "tolerated": 0, "report": None}  # fmt: skip
    failed = {"name": "b", "status": "failed", "message": "cell 2 raised KeyError"}
    items = [notebook, {**notebook, **failed}]
    write_report(
        passed, "execute-notebooks", status="failed", exit_code=3, outputs={"notebooks": items}
    )

    run(passed, webhook=server.url)

    lines = server.requests[0].json["text"].splitlines()
    assert "2 of 3 notebooks passed" in lines
    assert "b failed: cell 2 raised KeyError" in lines


def test_a_chat_gets_the_message(failed: Path, server: Web) -> None:
    outputs = run(failed, urls=f"{chat(server)}\n\n")

    assert outputs.told == 1
    assert server.requests[0].path == f"/hooks/{HOOK}"
    assert server.requests[0].json["text"].startswith("Notebook run: failed")


@pytest.mark.parametrize(
    ("verdict", "state"),
    [("succeeded", "success"), ("failed", "failure"), ("cancelled", "error"), (None, "error")],
)
def test_the_commit_status_follows_the_verdict(
    passed: Path, server: Web, verdict: str | None, state: str
) -> None:
    if verdict:
        values = {} if verdict == "succeeded" else {"exit_code": 3, "message": "why " * 90}
        write_report(passed, "run-tests", status=verdict, **values)
    link = "https://pages.example.com/run-7/"

    expect = () if verdict else ("x",)
    run(passed, **status_options(server), link=link, when="failure", expect=expect)

    (request,) = server.requests
    assert request.path == f"/repos/lab/notebooks/statuses/{COMMIT}"
    assert request.headers["authorization"] == "Bearer ghs_secret"
    assert request.json["state"] == state
    assert request.json["context"] == "stepkit/notebook-ci"
    assert request.json["target_url"] == link
    assert 0 < len(request.json["description"]) <= 140


def test_a_flaky_run_is_a_success_that_says_so(passed: Path, server: Web) -> None:
    write_report(passed, "execute-notebook", status="flaky", message="ran on attempt 2 of 3")

    outputs = run(passed, **status_options(server))

    (request,) = server.requests
    assert (outputs.verdict, request.json["state"]) == ("flaky", "success")
    assert request.json["description"] == "flaky: 1 notebook had to run again"


def test_a_web_hook_gets_the_verdict_flaky(passed: Path, server: Web) -> None:
    write_report(passed, "execute-notebook", status="flaky", message="ran on attempt 2 of 3")

    run(passed, webhook=server.url)

    (request,) = server.requests
    assert request.json["verdict"] == "flaky"
    assert request.json["notebooks"][0]["status"] == "flaky"
    assert "passed" not in request.json["title"]


def test_pending_sets_the_commit_status_and_sends_no_message(tmp_path: Path, server: Web) -> None:
    outputs = run(tmp_path / "none", **status_options(server, pending=True), webhook=server.url)

    (request,) = server.requests
    assert request.json["state"] == "pending"
    assert "target_url" not in request.json
    assert (outputs.verdict, outputs.told) == ("pending", 1)


def test_messages_can_be_sent_for_failures_only(
    passed: Path, server: Web, caplog: pytest.LogCaptureFixture
) -> None:
    assert run(passed, webhook=server.url, when="failure").told == 0
    assert server.requests == []
    assert "no channel to notify: set" not in caplog.text

    write_report(passed, "run-tests", status="failed", exit_code=3)
    assert run(passed, webhook=server.url, when="failure").told == 1


def test_without_a_channel_it_warns_and_succeeds(
    passed: Path, server: Web, caplog: pytest.LogCaptureFixture
) -> None:
    outputs = run(passed, **status_options(server, token=None))

    assert outputs.message == "passed: no channel to notify"
    unset = "the commit status of lab/notebooks is not set: GITHUB_TOKEN is not set"
    assert unset in caplog.messages
    assert caplog.messages[-1].startswith("no channel to notify: set NOTIFY_URLS or NOTIFY_WEBHOOK")
    assert server.requests == []


@pytest.mark.usefixtures("no_waiting")
def test_each_channel_retries_a_temporary_failure(passed: Path, server: Web) -> None:
    server.statuses = [503, 201, 502, 200, 429, 200]

    outputs = run(passed, urls=chat(server), webhook=server.url, **status_options(server))

    assert outputs.told == 3
    assert len(server.requests) == 6


@pytest.mark.usefixtures("no_waiting")
def test_other_channels_are_notified_after_one_failed(passed: Path, server: Web) -> None:
    with web() as broken:
        broken.always = 500
        urls = f"{chat(broken)}\n{chat(server)}"

        error = error_of(passed, urls=urls, webhook=server.url, attempts=2)

    assert isinstance(error, ToolError)
    assert error.reason == Reason.NETWORK
    assert str(error) == (
        "passed: 2 of 3 channels notified; not notified: line 1 of NOTIFY_URLS (Mattermost): "
        "the server answered HTTP 500"
    )
    assert len(broken.requests) == 2
    assert len(server.requests) == 2
    assert isinstance(error.outputs, Outputs)
    assert error.outputs.failed == ("line 1 of NOTIFY_URLS",)


@pytest.mark.parametrize("status", [401, 403, 404, 422, 302])
def test_a_refusal_is_not_retried(passed: Path, server: Web, status: int) -> None:
    server.always = status
    server.headers = {"Location": "/elsewhere"} if status == 302 else {}

    message = refused(passed, **status_options(server))

    assert f"status of lab/notebooks: the server answered HTTP {status}" in message
    assert len(server.requests) == 1


@pytest.mark.usefixtures("no_waiting")
def test_a_refusal_by_a_chat_is_not_retried(passed: Path, server: Web) -> None:
    server.always = 404

    assert HOOK not in refused(passed, urls=chat(server))
    assert len(server.requests) == 1


@pytest.mark.usefixtures("no_waiting")
def test_a_rate_limit_is_retried(passed: Path, server: Web) -> None:
    server.statuses = [403]
    server.headers = {"X-RateLimit-Remaining": "0"}

    assert run(passed, **status_options(server)).told == 1


def test_a_server_that_does_not_answer_fails_after_the_timeout(passed: Path, server: Web) -> None:
    server.stalls = True

    error = error_of(passed, webhook=server.url, attempts=1, timeout=0.5)

    assert isinstance(error, ToolError)
    assert str(error).endswith("NOTIFY_WEBHOOK: no answer within 0.5 s")


def test_a_chat_that_answers_byte_by_byte_fails_after_the_timeout(passed: Path) -> None:
    with dripping(b"HTTP/1.1 200 ", b"a") as (url, _):
        chat = url.replace("http", "json") + "/token"
        error = error_of(passed, urls=chat, attempts=1, timeout=0.5)

    assert (type(error), error.reason) == (ToolError, Reason.NETWORK)
    assert str(error).endswith("line 1 of NOTIFY_URLS (JSON): no answer within 0.5 s")


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("webhook", "http://127.0.0.1:1/token"),
        ("urls", f"mmost://127.0.0.1:1/{HOOK}"),
        (
            "urls",
            f"mailto://me:{HOOK}@127.0.0.1:1?from=ci@example.com&to=token@example.com&mode=insecure",
        ),
    ],
)
def test_an_unreachable_server_is_a_tool_error(passed: Path, name: str, url: str) -> None:
    error = error_of(passed, **{name: url})

    assert isinstance(error, ToolError)
    assert "token" not in str(error)
    assert HOOK not in str(error)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"webhook": "nonsense-with-token"}, "NOTIFY_WEBHOOK: this is not an https:// or http://"),
        ({"webhook": "http://[token"}, "NOTIFY_WEBHOOK: this is not an https:// or http://"),
        ({"urls": "nonsense-with-token"}, "line 1 of NOTIFY_URLS is not a URL that apprise knows"),
        ({"urls": "slack://token"}, "line 1 of NOTIFY_URLS is not a URL that apprise knows"),
        ({"urls": "json://h/token\udcff"}, "line 1 of NOTIFY_URLS is not a URL that apprise knows"),
        ({"urls": "json://h/token, json://i/b"}, "line 1 of NOTIFY_URLS holds more than one URL"),
        ({"urls": "json://h/token mailto://i"}, "line 1 of NOTIFY_URLS holds more than one URL"),
        ({"commit": "main"}, "--commit 'main' is not a full commit of 40 digits"),
        ({"commit_status_repository": "notebooks"}, "'notebooks' is not a repository"),
        ({"commit_status_repository": "../.."}, "'../..' is not a repository"),
        ({"api_url": "http://github.example.com"}, "--api-url must be https://HOST"),
        ({"api_url": "https://[github"}, "--api-url must be https://HOST"),
        ({"context": "x" * 256}, "--context has more than 255 characters"),
        ({"token": "two\nlines"}, "GITHUB_TOKEN holds a line break"),
    ],
)
def test_a_misconfigured_channel_is_named_and_the_others_are_notified(
    passed: Path,
    server: Web,
    caplog: pytest.LogCaptureFixture,
    wrong: dict[str, Any],
    expected: str,
) -> None:
    with web() as other:
        usual = {**status_options(server), "urls": chat(other)}
        message = refused(passed, **{**usual, **wrong})

    assert expected in message
    assert len(server.requests) + len(other.requests) >= 1
    assert "token" not in (message + caplog.text).replace("a token travels", "")


def test_missing_certificates_are_named(
    passed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))

    message = refused(passed, webhook="https://127.0.0.1:9/token", attempts=1)

    assert f"{tmp_path}/missing.pem: check REQUESTS_CA_BUNDLE" in message
    assert "token" not in message


def test_an_answer_with_an_endless_body_is_accepted(passed: Path, server: Web) -> None:
    server.endless = True

    assert run(passed, webhook=server.url, timeout=5).told == 1


def test_without_apprise_it_says_how_to_get_it(
    passed: Path, server: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)

    assert "pip install 'stepkit[notify]'" in refused(passed, urls=chat(server), webhook=server.url)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (("Failed",), "--statuses 'Failed' is not NAME=STATUS"),
        (("=Failed",), "--statuses '=Failed' is not NAME=STATUS"),
        (("git-clone=failed",), "--statuses 'git-clone=failed': a task's status is one of Succ"),
        (("git-clone=$(tasks.git-clone.status)",), "a task's status is one of Succeeded, Failed"),
        (("a=Failed/Failed", "a=Succeeded"), "--statuses says Failed/Failed and Succeeded of a"),
    ],
)
def test_an_unknown_task_status_is_refused(
    passed: Path, server: Web, statuses: tuple[str, ...], expected: str
) -> None:
    assert expected in refused(passed, statuses=statuses, webhook=server.url)
    assert server.requests == []


@pytest.mark.parametrize(
    "command", ["notify --reports x", "download-dataset --directory x", "publish-artifacts"]
)
def test_a_timeout_of_zero_is_refused(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([*command.split(), "--timeout", "0"])

    assert stopped.value.code == 2
    assert "--timeout: '0' is too low: at least 1" in capsys.readouterr().err


def test_netrc_does_not_replace_the_token(
    passed: Path, server: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password word\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    run(passed, **status_options(server), webhook=server.url)

    assert server.requests[0].headers["authorization"] == "Bearer ghs_secret"
    assert "authorization" not in server.requests[1].headers


@pytest.mark.slow
def test_secrets_are_in_no_output(failed: Path, server: Web, tmp_path: Path) -> None:
    secrets = {
        "NOTIFY_URLS": f"{chat(server)}\nmmost://127.0.0.1:1/{HOOK[::-1]}\nslack://xoxb-bad",
        "NOTIFY_WEBHOOK": f"{server.url}/services/hook-secret",
        "GITHUB_TOKEN": "ghs_verysecret",
    }
    flags = [f"--reports={failed}", f"--report={tmp_path}/report.json", "--attempts=1",
             "--commit-status-repository=lab/notebooks", f"--commit={COMMIT}",
             f"--api-url={server.url}", f"--result=message={tmp_path}/message"]  # fmt: skip
    done = commands.stepkit("notify", *flags, env={**os.environ, **secrets})

    assert done.returncode == 4
    assert len(server.requests) == 3
    output = done.stdout + done.stderr + (tmp_path / "report.json").read_text()
    output += (tmp_path / "message").read_text()
    for secret in (HOOK, HOOK[::-1], "xoxb-bad", "hook-secret", "ghs_verysecret"):
        assert secret not in output
        assert base64.b64encode(secret.encode()).decode() not in output
    assert "line 2 of NOTIFY_URLS (Mattermost): it was not reached" in output
