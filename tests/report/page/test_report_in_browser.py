"""report.html in a real Chromium: what a reader sees, with scripts, without, and under policies."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import run_records
from browsers import CHROMIUM, JENKINS, check_look, chromium, opened
from playwright.sync_api import Browser

from stepkit.report.page import report_page
from stepkit.report.run_json import RunJson

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="not run: there is no Chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def write(directory: Path, record: RunJson, devices: int = 1) -> Path:
    """Write the pages of ``record`` and empty artifacts; return the path of the run's page."""
    for artifact in record["artifacts"]:
        (directory / artifact["path"]).write_text('<a id="cell-12"></a>')
    timeline = run_records.timeline(devices, seconds=12)
    for name, text in report_page.pages(record, lambda _: timeline, "report.html"):
        (directory / name).write_text(text, encoding="utf-8")
    return directory / "report.html"


def test_a_failed_run_opens_quietly_and_is_accessible(browser: Browser, tmp_path: Path) -> None:
    check_look(browser, write(tmp_path, run_records.failed()))


@pytest.mark.parametrize("name", sorted({*run_records.RUNS} - {"failed", "500_cells"}))
def test_each_kind_of_run_opens_quietly_and_is_accessible(
    browser: Browser, tmp_path: Path, name: str
) -> None:
    write(tmp_path, run_records.RUNS[name](), devices=8 if name == "8_gpus" else 1)

    for path in sorted(tmp_path.glob("report*.html"))[:2]:
        check_look(browser, path)


def test_cells_are_sorted_and_filtered_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    path = write(tmp_path, run_records.failed())

    with opened(browser, path.as_uri()) as (page, _):
        page.locator("#cell-table th button", has_text="Time").focus()
        page.keyboard.press("Enter")
        times = page.eval_on_selector_all(
            "#cell-table tbody tr", "rows => rows.map(r => +r.cells[3].dataset.v)"
        )
        assert times == sorted(times, reverse=True)
        assert page.locator("th[aria-sort=descending]").inner_text().startswith("Time")
        page.keyboard.press("Space")
        assert page.locator("th[aria-sort=ascending]").count() == 1

        page.get_by_label("Filter").focus()
        page.keyboard.type("RSC.TL.LEIDEN")
        assert page.locator("#cell-table tbody tr:visible").count() == 1


def test_without_scripts_all_is_there_and_links_filter(browser: Browser, tmp_path: Path) -> None:
    path = write(tmp_path, run_records.failed())

    with opened(browser, path.as_uri(), java_script_enabled=False) as (page, heard):
        assert page.get_by_text("Copy for an issue").is_hidden()
        assert page.get_by_label("Filter").is_hidden()
        assert page.locator("#cell-table tbody tr:visible").count() == 14
        page.get_by_role("link", name="not ok").press("Enter")
        assert page.locator("#cell-table tbody tr:visible").count() == 3
        assert page.locator("#c12").is_visible()
        active = page.get_by_role("link", name="not ok")
        assert active.evaluate("link => getComputedStyle(link).fontWeight") == "620"
        assert heard == []


def test_the_slowest_cells_take_the_place_of_all(browser: Browser, tmp_path: Path) -> None:
    path = write(tmp_path, run_records.failed())

    with opened(browser, path.as_uri(), java_script_enabled=False) as (page, _):
        assert page.locator("#slow").is_hidden()
        page.get_by_role("link", name="the slowest").press("Enter")
        assert page.locator("#cell-table").is_hidden()
        page.locator("#slow tbody a").first.press("Enter")
        assert page.locator("#cell-table").is_visible()
        assert page.locator("#slow").is_hidden()


@pytest.mark.parametrize(("name", "table"), [("passed", "#cell-table"), ("matrix", ".rows")])
def test_a_phone_shows_the_figures_of_cells_and_notebooks(
    browser: Browser, tmp_path: Path, name: str, table: str
) -> None:
    path = write(tmp_path, run_records.RUNS[name]())

    with opened(browser, path.as_uri(), viewport={"width": 390, "height": 844}) as (page, _):
        for figure in (".gpu", ".rss", "[data-v]:nth-child(4)"):
            box = page.locator(f"{table} td{figure}").first.bounding_box()
            assert box
            assert box["x"] + box["width"] <= 390
        assert page.locator(f"{table} meter:visible").count() == 0


def test_on_paper_a_failed_test_takes_fifteen_lines_at_most(
    browser: Browser, tmp_path: Path
) -> None:
    record = run_records.failed_tests()
    record["tests"][0]["failures"][0]["text"] = "assert 1 == 2\n" * 200

    with opened(browser, write(tmp_path, record).as_uri()) as (page, _):
        page.emulate_media(media="print")
        box = page.locator("#tests details[open] pre").first.bounding_box()

    assert box
    assert 200 < box["height"] <= 300


def test_a_timeline_fits_a_phone(browser: Browser, tmp_path: Path) -> None:
    path = write(tmp_path, run_records.run())

    with opened(browser, path.as_uri(), viewport={"width": 390, "height": 844}) as (page, _):
        wide = page.locator(".chart").evaluate("chart => chart.getBoundingClientRect().right")
        assert wide <= 390


def test_the_text_for_an_issue_is_copied(browser: Browser, tmp_path: Path) -> None:
    path = write(tmp_path, run_records.failed())

    with opened(browser, path.as_uri(), permissions=["clipboard-read", "clipboard-write"]) as (
        page,
        _,
    ):
        page.get_by_role("button", name="Copy for an issue").press("Enter")
        page.get_by_role("button", name="Copied").wait_for()
        copied = page.evaluate("navigator.clipboard.readText()")

    assert copied.startswith("**execute-notebook failed (cell-error)**: cell 12 of 14 raised")
    assert '> scores(adata, "pca")' in copied
    assert "\x1b" not in copied


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """Serve a directory as Jenkins serves the files of a build."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(directory))

        def end_headers(self) -> None:
            self.send_header("Content-Security-Policy", JENKINS)
            super().end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_under_jenkins_policy_the_order_and_the_tables_carry_the_meaning(
    browser: Browser, tmp_path: Path
) -> None:
    write(tmp_path, run_records.failed())

    with served(tmp_path) as address, opened(browser, f"{address}/report.html") as (page, _):
        text = page.locator("main").inner_text()
        places = [text.index(word) for word in ("Failed", "KeyError", "→   7", "Steps", "Run it")]
        assert places == sorted(places)
        assert page.locator("meter").first.is_visible()
        assert page.locator("#cell-table tbody tr:visible").count() == 14
        assert page.get_by_text("Copy for an issue").is_hidden()
        (bar,) = page.locator("#c12, svg a[href='#c12'] rect").all()[:1]
        assert bar.bounding_box()


@pytest.mark.parametrize("name", ["failed", "tolerated", "failed_tests", "batch"])
def test_hostile_text_stays_inert(browser: Browser, tmp_path: Path, name: str) -> None:
    record = run_records.hostile(run_records.RUNS[name]())
    record["artifacts"] = []
    path = write(tmp_path, record)

    with opened(browser, path.as_uri()) as (page, heard):
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert page.locator("img, iframe, object, embed").count() == 0
        assert page.locator("script").count() <= 2
        assert heard == []
