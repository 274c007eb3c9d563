"""A page becomes a PDF where there is a Chromium, and one clear line where there is none."""

import os
import stat
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
import run_records
from browsers import CHROMIUM
from loopback import Handler, running

from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.report.page import print_pdf, report_page


@pytest.fixture
def page(tmp_path: Path) -> Path:
    report_page.write(run_records.failed(), tmp_path / "report.html", tmp_path)
    return tmp_path / "report.html"


def test_without_chromium_the_message_says_what_is_missing(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(page.parent))

    with pytest.raises(ConfigurationError, match=r"none of chromium, .* on PATH") as caught:
        print_pdf.print_pdf(page, page.with_suffix(".pdf"))

    assert caught.value.reason == Reason.NOT_FOUND
    assert not page.with_suffix(".pdf").exists()


def test_a_chromium_that_fails_leaves_the_older_pdf(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = page.with_name("chromium")
    program.write_text("#!/bin/sh\necho no display\nexit 1\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{page.parent}{os.pathsep}/usr/bin:/bin")
    page.with_suffix(".pdf").write_text("older")

    with pytest.raises(ToolError, match="chromium says: no display"):
        print_pdf.print_pdf(page, page.with_suffix(".pdf"))

    assert page.with_suffix(".pdf").read_text() == "older"


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="not run: there is no Chromium")
def test_a_page_is_printed(page: Path) -> None:
    print_pdf.print_pdf(page, page.with_name("a.pdf"))

    assert page.with_name("a.pdf").read_bytes().startswith(b"%PDF-")
    assert not list(page.parent.glob(".*"))


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="not run: there is no Chromium")
def test_what_is_printed_loads_nothing_and_runs_no_script(tmp_path: Path) -> None:
    asked: list[str] = []

    class Page(Handler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.answer(200)

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Page)) as server:
        page, url = tmp_path / "page.html", f"http://127.0.0.1:{server.server_port}"
        script = f"<script>fetch('{url}/script', {{mode: 'no-cors'}})</script>"
        page.write_text(f"<img src='{url}/image'>{script}<p>text")

        print_pdf.print_pdf(page, tmp_path / "a.pdf")

    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-")
    assert asked == []
