"""An index over a thousand runs: its size, and what is read again."""

import html
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import run_records

from stepkit.report.index import keep_index
from stepkit.report.index.directory_store import DirectoryStore

NAMES = ("scrna_preprocessing", "umap_and_clusters", "spatial_neighbours", "quality_control")


LONG_NAMES = [("<b>&'long' name of it, " * 6)[:119] + str(number) for number in range(4)]


def write_runs(root: Path, count: int, names: Sequence[str] = NAMES) -> None:
    """Write runs of four notebooks, of which every eleventh failed."""
    begin = datetime(2026, 10, 1, tzinfo=UTC)
    for number in range(count):
        record = run_records.failed() if number % 11 == 0 else run_records.run()
        record["notebooks"][0]["name"] = names[number % 4]
        record["notebooks"][0]["in_repository"] = f"notebooks/{names[number % 4]}.ipynb"
        record["started"] = (begin + timedelta(hours=number)).isoformat(timespec="milliseconds")
        record["identity"]["id"] = f"run-{number:04}"
        record["duration_ms"] = 60_000 + number * 7919 % 240_000
        directory = root / f"run-{number:04}"
        directory.mkdir()
        (directory / "run.json").write_text(json.dumps(record))
        (directory / "report.html").write_text("report")


@pytest.mark.slow
def test_a_page_of_five_hundred_runs_has_at_most_300_kb(tmp_path: Path) -> None:
    write_runs(tmp_path, 1_000)

    first = keep_index.keep(DirectoryStore(tmp_path))
    again = keep_index.keep(DirectoryStore(tmp_path))

    assert (first.read, again.read, again.pages) == (1_000, 0, 2)
    pages = [tmp_path / "index.html", tmp_path / "index-2.html"]
    assert all(page.stat().st_size <= 300_000 for page in pages)
    assert sum(page.read_text().count("/report.html") for page in pages) >= 1_000


@pytest.mark.slow
def test_long_names_add_little_to_a_page_and_are_whole_in_its_filters(tmp_path: Path) -> None:
    write_runs(tmp_path, 500, LONG_NAMES)

    keep_index.keep(DirectoryStore(tmp_path))

    page = (tmp_path / "index.html").read_text()
    assert len(page) <= 320_000
    rows = page[page.index('<table class="runs">') :]
    name = html.escape(LONG_NAMES[3]).replace("&#x27;", "&#39;")
    assert name in page
    assert name not in rows
    assert rows.count("…</a>") == 500
    assert LONG_NAMES[3] in {
        each["name"] for each in json.loads((tmp_path / "runs.json").read_bytes())["notebooks"]
    }
