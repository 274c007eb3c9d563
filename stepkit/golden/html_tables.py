"""Read the text and the tables of an output in HTML, such as a DataFrame's.

The time is linear in the length, also of text that is no HTML: html.parser's is not.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import Final

_TOKEN: Final = re.compile(
    r"<!--.*?(?:-->|\Z)|<(?P<unseen>script|style|template)\b.*?(?:</(?P=unseen)\s*>|\Z)|"
    r"<(?P<end>/?)(?P<tag>[a-zA-Z][\w-]*)[^<>]*>|<[!?][^<>]*>|(?P<text>[^<]+|<)",
    re.DOTALL | re.IGNORECASE,
)
_CELLS: Final = frozenset({"td", "th"})


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


def read(source: str) -> Page:
    """Return what a reader sees of HTML; tables inside of tables are text beside them."""
    page, outside = Page(), [""]
    texts, depth = outside, 0  # texts is that of the cell that is open
    cell = None
    for token in _TOKEN.finditer(source):
        if token["text"]:
            texts.append(token["text"])
            continue
        tag, ends = (token["tag"] or "").lower(), bool(token["end"])
        if cell and depth == 1 and tag in {*_CELLS, "tr", "table"}:
            cell.text, cell, texts = _joined(texts), None, outside
        if tag == "table":
            depth = max(depth - 1, 0) if ends else depth + 1
            if depth == 1 and not ends:
                page.tables.append([[]])
            texts = outside if not depth else texts
        elif depth == 1 and tag == "tr" and not ends:
            page.tables[-1].append([])
        elif depth == 1 and tag in _CELLS and not ends:
            cell, texts = Cell(tag == "th"), []
            page.tables[-1][-1].append(cell)
        elif tag:
            texts.append(" ")
    if cell:
        cell.text = _joined(texts)
    tables = [[row for row in rows if row] for rows in page.tables]
    return Page(tables, _joined(outside))


def _joined(texts: list[str]) -> str:
    return " ".join(html.unescape("".join(texts)).split())
