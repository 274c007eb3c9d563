"""Pieces of Markdown: escaped text, tables, titles."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from stepkit.formats.shorten import shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from stepkit.report.steps_of_run import Entry

_MOST_TEXT: Final = 400  # characters of a message in a table


def escape(text: str) -> str:
    """Return text of others as one line of Markdown that holds no HTML, table or link.

    Text between two backticks stays code.
    """
    line = shorten(one_line(text), _MOST_TEXT)
    parts = line.split("`")
    if len(parts) % 2 == 0:  # a backtick without its partner
        parts = [line]
    for number, part in enumerate(parts):
        if number % 2:
            parts[number] = "`" + part.replace("|", r"\|") + "`" if part.strip() else ""
        else:
            plain = part.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            parts[number] = re.sub(r"([\\|\[\]*_~#`])", r"\\\1", plain)
    return "".join(parts)


def one_line(text: str) -> str:
    """Join lines, and replace control characters and lone surrogates, which no page can hold."""
    shown = " ".join(text.split())
    return "".join("\ufffd" if unicodedata.category(c) in {"Cc", "Cs"} else c for c in shown)


def bold_if_bad(status: str) -> str:
    """Return a status as Markdown: a failure stands out."""
    shown = escape(status.replace("-", " "))
    return f"**{shown}**" if status in {"failed", "cancelled"} else shown


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table; cells are Markdown already."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join(' --- ' for _ in head)}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def folded(title: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield ``lines`` below a title that a click opens."""
    yield f"<details><summary>{title}</summary>"
    yield ""
    yield from lines
    yield ""
    yield "</details>"


def heading(what: str, entry: Entry) -> str:
    """Return the title of a step's section, with the step's name where it is not the usual one."""
    usual = entry.data.get("step")
    return what if entry.name == usual else f"{what} ({escape(entry.name)})"
