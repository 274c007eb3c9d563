"""The index in a real Chromium: quiet, accessible, and filtered without a script."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import run_records
from browsers import CHROMIUM, check_look, chromium, opened
from playwright.sync_api import Browser

from stepkit.report.index import keep_index
from stepkit.report.index.directory_store import DirectoryStore

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="not run: there is no Chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with an index over one run of each kind, and a torn record."""
    root = tmp_path_factory.mktemp("runs")
    for number, name in enumerate(run_records.RUNS):
        record = run_records.RUNS[name]()
        if record["started"]:
            record["started"] = f"2026-11-30T10:{number:02}:00.000+00:00"
        (root / name).mkdir()
        (root / name / "run.json").write_text(json.dumps(record))
        (root / name / "report.html").write_text("<h1>report</h1>")
    (root / "torn").mkdir()
    (root / "torn/run.json").write_text("{")
    keep_index.keep(DirectoryStore(root))
    return root


def test_the_index_opens_quietly_and_is_accessible(browser: Browser, root: Path) -> None:
    check_look(browser, root / "index.html")


def test_an_index_without_runs_opens_quietly(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(run_records.run()))
    keep_index.keep(DirectoryStore(tmp_path))
    (tmp_path / "run.json").unlink()
    keep_index.keep(DirectoryStore(tmp_path))

    check_look(browser, tmp_path / "index.html")


def test_runs_are_filtered_by_verdict_and_notebook_without_scripts(
    browser: Browser, root: Path
) -> None:
    address = (root / "index.html").as_uri()
    with opened(browser, address, java_script_enabled=False) as (page, _):
        rows = page.locator(".runs tbody tr:visible")
        every = rows.count()
        page.get_by_role("link", name="failed", exact=True).click()
        failed = rows.all_inner_texts()
        page.locator(".filters").get_by_role("link", name="markers (lite)").click()
        markers = rows.all_inner_texts()
        page.get_by_role("link", name="all", exact=True).click()

        assert every == len(run_records.RUNS) + 1
        assert len(failed) == 6
        assert all("✕ failed" in text for text in failed)
        assert [text.partition("\t")[0].partition(" run-")[0] for text in markers] == [
            "quality (full) and 5 more"
        ]
        assert rows.count() == every


def test_a_phone_shows_every_column_and_a_run_that_passed_in_two_lines(
    browser: Browser, root: Path
) -> None:
    with opened(browser, (root / "index.html").as_uri()) as (page, _):
        page.set_viewport_size({"width": 390, "height": 800})
        hidden = page.eval_on_selector_all(
            ".scroll", "all => all.map(e => e.scrollWidth - e.clientWidth)"
        )
        row = page.locator(".runs tbody tr.passed").first
        texts = row.locator("td").all_inner_texts()
        box = row.bounding_box()

    assert hidden == [0, 0, 0]
    assert [text.strip() for text in texts[5:]] == ["19/19", "20.0 GiB"]
    assert box
    assert box["height"] < 3 * 20  # three lines of 20 px


def test_each_link_leads_to_a_file(browser: Browser, root: Path) -> None:
    with opened(browser, (root / "index.html").as_uri()) as (page, _):
        links = page.eval_on_selector_all("a[href]", "all => all.map(a => a.getAttribute('href'))")
        ids = page.eval_on_selector_all("[id]", "all => all.map(e => e.id)")

    for link in links:
        if link.startswith("#"):
            assert link[1:] in ids
        elif link.startswith("https://"):
            assert link == f"https://github.com/example/notebooks/commit/{run_records.COMMIT}"
        else:
            assert (root / link).is_file(), link


@pytest.mark.parametrize(
    ("pointer", "report"), [("latest", "not_checked_out"), ("latest-passed", "compared")]
)
def test_a_pointer_leads_to_its_run(
    browser: Browser, root: Path, pointer: str, report: str
) -> None:
    page = browser.new_page()
    page.goto((root / pointer / "index.html").as_uri())
    page.wait_for_url("**/report.html")

    assert page.url == (root / report / "report.html").as_uri()
    page.close()
