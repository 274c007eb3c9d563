"""How pages are read. These tests have no marker, so that a run of the pipeline skips them."""

from __future__ import annotations

import pytest
from analysis_page import PNG_START, parse, png_size


def test_an_empty_page_has_no_content() -> None:
    page = parse("")
    assert (page.headings, page.outputs, page.plots, page.unrun_cells) == ((), "", (), 0)
    assert not page.raised
    assert not page.stopped_by_papermill


def test_the_last_printed_number_is_returned() -> None:
    page = parse('<div class="jp-OutputArea-output"><pre>cells: 5\ncells: 7\n</pre></div>')
    assert (page.number("cells"), page.number("genes")) == (7, None)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (PNG_START + b"\0\0\0\rIHDR" + b"\0\0\1\0" + b"\0\0\0\2", (256, 2)),
        (PNG_START + b"\0\0\0\rIHDR", None),
        (b"GIF89a" + bytes(40), None),
    ],
)
def test_the_size_of_a_png_is_read(data: bytes, size: tuple[int, int] | None) -> None:
    assert png_size(data) == size


@pytest.mark.parametrize("source", ["data:image/png;base64,abc", "data:image/png;base64,", "x.png"])
def test_an_image_that_is_not_a_png_is_not_a_plot(source: str) -> None:
    assert parse(f'<img src="{source}">').plots == ()
