"""notify: an e-mail says how the run ended, as HTML and as text, with the report if wanted."""

import email
import os
import threading
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from message_servers import mail
from step_reports import write_report

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.steps import notify
from stepkit.steps.notify import Options

LINK = "https://pages.example.com/run-7/report.html?a=1&b=2"
EVIL = "<script>x</script>"


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    directory = tmp_path / "reports"
    write_report(directory, "git-clone")
    write_report(
        directory, "execute-notebook", status="failed", reason="cell-error", exit_code=3,
        message=f"cell 4 raised KeyError: {EVIL}", options={"notebook": "source/analysis.ipynb"},
        outputs={"cells-run": 4, "cells-total": 9}, error={
            "ename": "KeyError", "evalue": f"'pca' {EVIL}", "traceback": "",
            "source": "x = 1\nscores(x)\ny = 2", "line": 2,
        },
    )  # fmt: skip
    return directory


@pytest.fixture
def page(reports: Path) -> Path:
    path = reports.parent / "report 100%?.html"
    path.write_text("<p>the report")
    return path


def sent(reports: Path, more_url: str = "", **more: Any) -> EmailMessage:
    """Return the e-mail that is received."""
    with mail() as (port, mails):
        notify.run(Options(reports=reports, urls=address(port) + more_url, link=LINK, **more))
    message = email.message_from_string(mails[0], policy=default)
    assert isinstance(message, EmailMessage)
    return message


def address(port: int) -> str:
    return f"mailto://127.0.0.1:{port}?from=ci@example.com&to=team@example.com&mode=insecure"


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part
    return str(part.get_content())


def attachments(message: EmailMessage) -> list[tuple[str | None, str, Any]]:
    parts = message.iter_attachments()
    return [(one.get_filename(), one.get_content_type(), one.get_content()) for one in parts]


def test_the_verdict_is_the_subject_and_text_and_html_say_why(reports: Path) -> None:
    message = sent(reports)

    assert message["Subject"] == "Notebook run: failed"
    assert "team@example.com" in message["To"]
    html, text = body(message, "html"), body(message, "plain")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    assert lines[0] == "Notebook run: failed"
    assert lines[1].startswith("execute-notebook failed (cell-error): cell 4 raised KeyError")
    assert "analysis.ipynb: 4 of 9 cells ran" in lines
    assert any(line.startswith("- ✓ git-clone") for line in lines)
    assert LINK in lines
    assert "What to try:" in lines
    source = ["1     x = 1", "2   > scores(x)", "3     y = 2"]
    assert source == [line.replace("\xa0", " ") for line in lines if line[0].isdigit()]
    assert "<pre" in html
    assert EVIL not in html
    assert "<style" not in html
    assert f'href="{LINK.replace("&", "&amp;")}"' in html
    assert attachments(message) == []


def test_the_format_of_the_address_counts(reports: Path) -> None:
    message = sent(reports, more_url="&format=text")

    assert message.get_content_type() == "text/plain"
    assert "cell 4 raised KeyError" in body(message, "plain")


def test_the_report_is_attached(reports: Path, page: Path) -> None:
    message = sent(reports, attach=True, report_page=page)

    ((name, kind, content),) = attachments(message)
    assert (name, kind) == (page.name, "text/html")
    assert content == "<p>the report"
    assert f"{page.name} is attached." in body(message, "plain")


def test_a_report_that_another_task_still_writes_is_waited_for(reports: Path, page: Path) -> None:
    old = reports.stat().st_mtime - 60
    os.utime(page, (old, old))  # of an earlier attempt
    writer = threading.Timer(0.1, page.write_text, ("<p>the new report",))
    writer.start()

    message = sent(reports, attach=True, report_page=page)

    assert attachments(message)[0][2] == "<p>the new report"
    writer.join()


def test_an_e_mail_says_that_the_report_did_not_come(
    reports: Path, caplog: pytest.LogCaptureFixture
) -> None:
    page = reports.parent / "report.html"

    message = sent(reports, attach=True, report_page=page, report_page_timeout=0.0)

    assert attachments(message) == []
    assert "report.html is not attached: it was not written in time." in body(message, "plain")
    assert f"{page} did not come" in caplog.text


def test_a_report_that_is_too_large_for_mail_servers_is_not_attached(
    reports: Path, page: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with page.open("r+b") as file:
        file.truncate(7_100_000)

    message = sent(reports, attach=True, report_page=page)

    assert attachments(message) == []
    note = f"{page.name} is not attached: it has 7.1 MB, and 7.0 MB is the limit"
    assert note in body(message, "plain")
    assert note in caplog.text


def test_without_an_e_mail_address_the_report_is_not_waited_for(
    reports: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given: dict[str, Any] = {"attach": True, "report_page": reports / "missing.html"}

    notify.run(Options(reports=reports, report_page_timeout=0.0, **given))

    assert "missing.html" not in caplog.text


def test_a_report_to_attach_must_be_named(reports: Path) -> None:
    with pytest.raises(ConfigurationError, match="--attach needs --report-page"):
        notify.run(Options(reports=reports, attach=True))


@pytest.mark.parametrize(
    ("refuses", "kind", "reason", "message"),
    [
        ({"RCPT": "550 unknown"}, ConfigurationError, Reason.BAD_INPUT, "550: check the addresses"),
        ({"DATA": "552 too big"}, ConfigurationError, Reason.BAD_INPUT, "552: check the addresses"),
        ({"MAIL": "530 who?"}, ConfigurationError, Reason.AUTH, "530: check user and password"),
        ({"RCPT": "451 later"}, ToolError, Reason.NETWORK, "451"),
    ],
)
def test_what_a_mail_server_refuses_is_said_with_its_code(
    reports: Path, refuses: dict[str, str], kind: type[StepError], reason: Reason, message: str
) -> None:
    with mail(**refuses) as (port, mails), pytest.raises(kind) as caught:
        notify.run(Options(reports=reports, urls=address(port), attempts=1))

    said = f"not notified: line 1 of NOTIFY_URLS (E-Mail): the mail server answered {message}"
    assert said in str(caught.value)
    assert caught.value.reason == reason
    assert "127.0.0.1" not in str(caught.value)
    assert mails == []
