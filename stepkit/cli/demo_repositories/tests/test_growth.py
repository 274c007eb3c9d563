"""Tests of the page of the demo's notebook, for `stepkit run-tests`."""

import html
import re
from pathlib import Path

PAGE = Path(__file__).parent / "input/std_output_analysis.html"


def shown() -> str:
    """Return the text of the page, without its tags."""
    return html.unescape(re.sub(r"<[^>]+>", "", PAGE.read_text(encoding="utf-8")))


def test_the_page_shows_a_doubling_time_that_cells_have() -> None:
    found = re.search(r"^doubling time: ([0-9.]+) hours", shown(), re.MULTILINE)
    assert found, "the page has no line 'doubling time: ... hours'"
    assert 4 < float(found[1]) < 8


def test_the_page_shows_the_chart() -> None:
    assert re.search(r'<img [^>]*src="data:image/svg', PAGE.read_text(encoding="utf-8"))


def test_the_page_shows_no_traceback() -> None:
    assert "Traceback (most recent call last)" not in shown()
