"""Pieces of Markdown: foreign text made harmless, numbers spelled for people, tables."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from stepkit.report.run_record import Entry

_MOST_TEXT: Final = 400  # characters of a message in a table


def escape(text: str) -> str:
    """Make foreign text one harmless line of Markdown: no HTML, table or link of its own.

    What stands between two backticks stays code.
    """
    line = one_line(text)
    if len(line) > _MOST_TEXT:
        line = line[: _MOST_TEXT - 3] + "..."
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


def duration(seconds: float) -> str:
    """Spell seconds for people: ``1.2 s``, ``3m05s``, ``1h02m``."""
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours}h{minutes_left:02d}m" if hours else f"{minutes}m{rest:02d}s"


def size(count: float) -> str:
    """Spell a number of bytes for people, in powers of 1000."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:  # noqa: PLR2004
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def memory(count: float) -> str:
    """Spell bytes of memory for people, in powers of 1024 as drivers and containers count it."""
    mebibytes = count / 2**20
    return f"{mebibytes / 1024:.1f} GiB" if mebibytes >= 1024 else f"{mebibytes:.0f} MiB"  # noqa: PLR2004


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
