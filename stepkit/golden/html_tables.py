"""Read the text and the tables of an output in HTML, such as a DataFrame's, in linear time."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

_UNSEEN: Final = frozenset({"script", "style", "template"})
_CELLS: Final = frozenset({"td", "th"})
_WITHOUT_END: Final = frozenset({"br", "hr", "img", "input", "meta", "link", "col", "wbr"})


@dataclass
class Cell:
    """One cell of a table: its text, and whether it is a header."""

    head: bool
    text: str = ""


@dataclass
class Page:
    """The tables, as rows of cells, and the other text that a reader sees."""

    tables: list[list[list[Cell]]] = field(default_factory=list)
    text: str = ""


def read(html: str) -> Page:
    """Return what a reader sees of ``html``; tables inside of tables are text of their cell."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    reader.page.text = " ".join("".join(reader.outside).split())
    return reader.page


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self.outside: list[str] = []
        self._texts: list[str] | None = None  # of the cell that is open
        self._depth = 0  # of tables
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag in _UNSEEN:
            self._unseen += 1
        elif tag == "table":
            self._depth += 1
            if self._depth == 1:
                self.page.tables.append([])
        elif self._depth == 1 and tag == "tr":
            self._end_cell()
            self.page.tables[-1].append([])
        elif self._depth == 1 and tag in _CELLS:
            self._end_cell()
            rows = self.page.tables[-1]
            if not rows:
                rows.append([])
            rows[-1].append(Cell(tag == "th"))
            self._texts = []
        elif tag not in _WITHOUT_END or tag == "br":
            self.handle_data(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNSEEN:
            self._unseen = max(self._unseen - 1, 0)
        elif tag == "table" and self._depth:
            if self._depth == 1:
                self._end_cell()
            self._depth -= 1
        elif self._depth == 1 and (tag in _CELLS or tag == "tr"):
            self._end_cell()

    def handle_data(self, data: str) -> None:
        if self._unseen:
            return
        if self._texts is not None:
            self._texts.append(data)
        elif not self._depth:
            self.outside.append(data)

    def _end_cell(self) -> None:
        if self._texts is not None:
            self.page.tables[-1][-1][-1].text = " ".join("".join(self._texts).split())
            self._texts = None
