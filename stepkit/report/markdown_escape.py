"""Pieces of Markdown: foreign text made harmless, numbers spelled for people, tables."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from stepkit.formats.shorten import shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from stepkit.report.run_record import Entry

_MOST_TEXT: Final = 400  # characters of a message in a table


def escape(text: str) -> str:
    """Make foreign text one harmless line of Markdown: no HTML, table or link of its own.

    What stands between two backticks stays code.
    """
    line = shorten(one_line(text), _MOST_TEXT)
    parts = line.split("`")
    if len(parts) % 2 == 0:  # a backtick without its partner
        return _plain(line)
    shown = (_code(part) if number % 2 else _plain(part) for number, part in enumerate(parts))
    return "".join(shown)


def one_line(text: str) -> str:
    """Join lines, and show what no page can hold (control characters, half characters) as such."""
    shown = " ".join(text.split())
    return "".join("\ufffd" if unicodedata.category(c) in {"Cc", "Cs"} else c for c in shown)


def _plain(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\|\[\]*_~#`])", r"\\\1", text)


def _code(text: str) -> str:
    return "`" + text.replace("|", r"\|") + "`" if text.strip() else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table; cells are Markdown already."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join(' --- ' for _ in head)}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def heading(what: str, entry: Entry) -> str:
    """Return the title of a step's section; one that is not called as usual is named."""
    usual = entry.data.get("step")
    return what if entry.name == usual else f"{what} ({escape(entry.name)})"
