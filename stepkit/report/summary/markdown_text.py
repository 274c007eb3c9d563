"""Pieces of Markdown that hold text of strangers: none of it becomes HTML, a link or a mention."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from stepkit.formats.plain_text import plain
from stepkit.formats.shorten import shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_MOST_TEXT: Final = 400  # characters of a message
_MOST_BLOCK: Final = 30_000  # characters of a block of code
_MOST_LINE: Final = 300  # characters of a line in it
_CODE_SPAN: Final = re.compile(r"\\.|(?P<ticks>`+)(?P<code>.+?)(?<!`)(?P=ticks)(?!`)")
# Markdown leaves underscores inside of a word as they are.
_SPECIAL: Final = re.compile(r"(?P<inside>(?<=[^\W_])_+(?=[^\W_]))|[\\|\[\]*_~#`]")
_MENTION: Final = re.compile(r"(?<!\w)@(?=\w)")


def escape(text: str) -> str:
    """Return text of others as one line of Markdown that holds no HTML, table, link or mention.

    Text between two backticks stays code.
    """
    line = shorten(one_line(text), _MOST_TEXT)
    parts = line.split("`")
    if len(parts) % 2 == 0:  # a backtick without its partner
        parts = [line]
    for number, part in enumerate(parts):
        if number % 2:
            parts[number] = f"`{part}`" if part.strip() else rf"\`{part}\`"
        else:
            parts[number] = _escape_plain(part)
    return "".join(parts)


def _escape_plain(text: str) -> str:
    return _SPECIAL.sub(
        lambda found: found[0] if found["inside"] else f"\\{found[0]}", _escape_html(text)
    )


def _escape_html(text: str) -> str:
    """Escape text in an HTML block, where Markdown does not apply."""
    silent = _MENTION.sub("@\u200b", text)
    return silent.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str) -> str:
    """Return text of others as code in a line."""
    line = shorten(one_line(text), _MOST_TEXT)
    ticks = "`" * (_longest_run(line) + 1)
    if not line or not line.strip("` "):
        return _escape_plain(line)
    edge = " " if "`" in (line[0], line[-1]) else ""
    return f"{ticks}{edge}{line}{edge}{ticks}"


def title(text: str) -> str:
    """Return a name: as it is where Markdown would not change it, else as code."""
    line = shorten(one_line(text), _MOST_TEXT)
    return code(line) if "_" in line or _escape_plain(line) != line else line


def block(text: str, language: str = "text") -> Iterator[str]:
    """Yield the lines of a block of code that ``text`` cannot leave."""
    shown = plain(text).encode(errors="replace").decode()
    if len(shown) > _MOST_BLOCK:
        shown = "...\n" + shown[-_MOST_BLOCK:]
    fence = "`" * max(3, _longest_run(shown) + 1)
    yield fence + language
    yield from (shorten(line, _MOST_LINE) for line in shown.strip("\n").split("\n"))
    yield fence


def one_line(text: str) -> str:
    """Join lines, and replace control characters and lone surrogates, which no page can hold."""
    shown = " ".join(text.split())
    return "".join("\ufffd" if unicodedata.category(c) in {"Cc", "Cs"} else c for c in shown)


def status(word: str) -> str:
    """Return a status as Markdown: a failure stands out."""
    shown = escape(word.replace("-", " "))
    return f"**{shown}**" if word in {"failed", "cancelled", "error", "stopped"} else shown


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table; head and cells are Markdown already."""
    yield f"| {' | '.join(map(_in_table, head))} |"
    yield f"|{'|'.join(' --- ' for _ in head)}|"
    for row in rows:
        yield f"| {' | '.join(map(_in_table, row))} |"


def _in_table(cell: str) -> str:
    """Escape the vertical bars in code: a table takes them for the end of a cell."""

    def escaped(found: re.Match[str]) -> str:
        inside = found["code"]
        if inside is None or "|" not in inside:
            return found[0]
        # A backslash before a bar cannot be spelled in code in a table.
        return _escape_plain(inside) if r"\|" in inside else found[0].replace("|", r"\|")

    return _CODE_SPAN.sub(escaped, cell)


def folded(what: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield ``lines`` below ``what``, a text of others that a click opens."""
    yield f"<details><summary>{_escape_html(shorten(one_line(what), _MOST_TEXT))}</summary>"
    yield ""
    yield from lines
    yield ""
    yield "</details>"


def paragraphs(*parts: Iterable[str]) -> list[str]:
    """Return the lines of those parts that have any, with an empty line between two parts."""
    found = [lines for part in parts if (lines := list(part))]
    return [line for lines in found for line in ("", *lines)][1:]


def count(number: int, what: str) -> str:
    """Return a number with its noun: ``1 cell``, ``2 cells``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
