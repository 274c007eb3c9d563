"""notify: an address with a prefix hears of runs that ended so, the others of every run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from message_servers import Web, web
from step_reports import write_report

from stepkit import redaction
from stepkit.errors import ConfigurationError, Reason
from stepkit.steps import notify
from stepkit.steps.notify import Options

ENDINGS = {"passed": "succeeded", "flaky": "flaky", "failed": "failed", "cancelled": "cancelled"}


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as state:
        yield state


def ended(tmp_path: Path, verdict: str) -> dict[str, Any]:
    """Return the options for a run that ended with ``verdict``."""
    if status := ENDINGS.get(verdict):
        bad = {"exit_code": 3, "reason": "cell-error"} if status == "failed" else {}
        write_report(tmp_path, "execute-notebook", status=status, message="how it went", **bad)
    return {"reports": tmp_path, "expect": ("execute-notebook",)}


def heard(server: Web) -> list[str]:
    return sorted(request.path for request in server.requests)


@pytest.mark.parametrize(
    ("verdict", "heard_by"),
    [
        ("passed", ["/all", "/passed"]),
        ("flaky", ["/all", "/failed"]),
        ("failed", ["/all", "/failed"]),
        ("cancelled", ["/all", "/failed"]),
        ("incomplete", ["/all", "/failed"]),
    ],
)
def test_success_and_failure_go_to_different_places(
    tmp_path: Path, server: Web, verdict: str, heard_by: list[str]
) -> None:
    url = server.url
    webhook = f"{url}/all\npassed={url}/passed\nFailed = {url}/failed\n"

    outputs = notify.run(Options(**ended(tmp_path, verdict), webhook=webhook))

    assert (outputs.verdict, outputs.told, heard(server)) == (verdict, 2, heard_by)
    assert all(request.json["verdict"] == verdict for request in server.requests)


def test_a_flaky_run_goes_to_the_places_for_flaky_runs_where_there_are_some(
    tmp_path: Path, server: Web
) -> None:
    url = server.url
    webhook = f"failed={url}/pager\npassed,flaky={url}/green"

    notify.run(Options(**ended(tmp_path, "flaky"), webhook=webhook))

    assert heard(server) == ["/green"]
    assert server.requests[0].json["text"].startswith("Notebook run: flaky: 1 notebook had to run")


@pytest.mark.parametrize(
    ("verdict", "kind"), [("passed", "success"), ("flaky", "warning"), ("failed", "failure")]
)
def test_a_chat_is_chosen_by_its_prefix_and_shows_the_outcome(
    tmp_path: Path, server: Web, verdict: str, kind: str
) -> None:
    urls = f"{verdict}={server.url.replace('http', 'json')}/{verdict}"

    notify.run(Options(**ended(tmp_path, verdict), urls=urls))

    assert heard(server) == [f"/{verdict}"]
    assert server.requests[0].json["type"] == kind


@pytest.mark.parametrize(
    ("verdict", "heard_by"),
    [("passed", ["/passed"]), ("flaky", ["/all"]), ("failed", ["/all"])],
)
def test_when_counts_for_addresses_without_a_prefix(
    tmp_path: Path, server: Web, verdict: str, heard_by: list[str]
) -> None:
    webhook = f"{server.url}/all\npassed={server.url}/passed"

    notify.run(Options(**ended(tmp_path, verdict), webhook=webhook, when="failure"))

    assert heard(server) == heard_by


@pytest.mark.parametrize("prefix", ["failed", "flaky"])
def test_without_an_address_for_the_outcome_nothing_is_sent_and_the_log_says_so(
    tmp_path: Path, server: Web, caplog: pytest.LogCaptureFixture, prefix: str
) -> None:
    caplog.set_level("INFO")
    webhook = f"{prefix}={server.url}/token"

    outputs = notify.run(Options(**ended(tmp_path, "passed"), webhook=webhook))

    assert outputs.message == "passed: no channel to notify"
    assert caplog.messages[-1] == "passed: no address is for such a run, so no message is sent"
    assert server.requests == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("success={url}/t0ken", "the word before its = is not passed, flaky or failed"),
        ("passed,t0ken={url}", "the word before its = is not passed, flaky or failed"),
        ("={url}/t0ken", "the word before its = is not passed, flaky or failed"),
        ("passed=", "has no address after its ="),
        ("passed=t0ken", "is not a URL that apprise knows"),
    ],
)
def test_a_wrong_prefix_is_named_without_its_line_and_the_others_are_notified(
    tmp_path: Path, server: Web, line: str, expected: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        notify.run(
            Options(
                **ended(tmp_path, "passed"),
                urls=f"passed={server.url.replace('http', 'json')}\n{line.format(url=server.url)}",
                webhook=server.url,
            )
        )

    assert f"line 2 of NOTIFY_URLS {expected}" in str(caught.value).replace("URLS: ", "URLS ")
    assert "t0ken" not in str(caught.value)
    assert caught.value.reason == Reason.BAD_INPUT
    assert len(server.requests) == 2


def test_an_equals_sign_within_an_address_is_not_a_prefix(tmp_path: Path, server: Web) -> None:
    notify.run(Options(**ended(tmp_path, "passed"), webhook=f"{server.url}/hook?failed=1"))

    assert heard(server) == ["/hook?failed=1"]


def test_an_address_is_a_secret_without_its_prefix_too(tmp_path: Path, server: Web) -> None:
    address = f"{server.url}/services/t0ken"

    notify.run(Options(**ended(tmp_path, "failed"), webhook=f"passed={address}"))

    assert redaction.redact(f"POST {address}") == "POST ***"
