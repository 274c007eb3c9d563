"""Read IPython's tracebacks: which line of a cell failed, and the lines that a person needs.

A traceback is a list of texts, most of them one frame each, with ANSI colours.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stepkit.errors import MOST_TRACEBACK
from stepkit.formats.plain_text import coloured, plain
from stepkit.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_MOST_READ: Final = 1 << 18  # characters, the last ones; the rest is only counted
_MOST_READ_LINE: Final = 1 << 14  # characters of a line in it, and of a frame
_MOST_LINE: Final = 1000  # characters of a line that are kept

# The frame of a cell, of IPython since 8.7, of 8.0, and of 7.
_CELL: Final = re.compile(
    r"\s*(?:Cell In ?\[(\d+)\], line (\d+)|Input In \[(\d+)\], in <cell line: (\d+)>"
    r"|(?:Input In \[|<ipython-input-)(\d+))"
)
_ARROW: Final = re.compile(r"^-+> ?(\d+) ?(.*)$", re.MULTILINE)
_TIMED: Final = re.compile(r"\s*(?:File )?<timed (?:exec|eval)>[:, line]*(\d+)")  # %%time's
_OTHER_ERROR: Final = re.compile(r"\s*(?:The above exception was|During handling of the above)")
_TRANSFORMED: Final = "get_ipython()."  # how IPython spells a magic and a shell command
_RULE: Final = re.compile(r"-{20,}")  # above a traceback
_FRAME: Final = re.compile(r"\s*(?:File )?(\S+\.py)\b")
_OURS: Final = {
    "IPython": re.compile(r"/(?:IPython|ipykernel|traitlets|decorator)(?:/|\.py\Z)"),
    "stepkit": re.compile(r"/stepkit/kernel/"),
}


def failed_line(source: str, traceback: Sequence[str]) -> int | None:
    """Return the number, from 1, of the line of ``source`` that failed; None if it is unknown.

    ``source`` is the cell that ran. Of its frames in the last error, the deepest one counts.
    """
    frames = _last_error([plain(item[:_MOST_READ_LINE]) for item in traceback])
    numbered = [(found, item) for item in frames if (found := _CELL.match(item))]
    if not numbered:
        return None
    own = _execution(numbered[0][0])
    timed = [int(time[1]) for frame in frames if (time := _TIMED.match(frame))]
    for found, item in reversed(numbered):
        if _execution(found) == own:
            arrow = _ARROW.search(item)
            number = int((arrow and arrow[1]) or found[2] or found[4] or 0)
            code = arrow[2] if arrow else item.partition("\n")[2].partition("\n")[0]
            if line := line_in_source(source, number, code, timed=timed[-1] if timed else None):
                return line
    return None


def line_in_source(
    source: str, number: int, code: str = "", *, timed: int | None = None
) -> int | None:
    """Return the line of a cell that IPython means by ``number``, where it read ``code``.

    IPython drops blank lines at the start, and a cell magic runs the lines below it; ``timed`` is
    the line among those below ``%%time``. None if no line of ``source`` is that one.
    """
    lines = source.split("\n")
    blank = next((n for n, line in enumerate(lines) if line.strip()), 0)
    if timed and lines[blank].lstrip().startswith("%%"):
        number, code = number + timed, ""
    places = [blank + number, number, blank + number + 1]
    there = [place for place in places if 1 <= place <= len(lines)]
    if not code.strip() or _TRANSFORMED in code:
        return there[0] if there else None
    anywhere = range(1, len(lines) + 1)
    words = code.split()  # tabs of the source are blanks in a traceback
    same = (place for place in [*there, *anywhere] if plain(lines[place - 1]).split() == words)
    return next(same, None)


def _execution(found: re.Match[str]) -> str | None:
    return found[1] or found[3] or found[5]


def _last_error(frames: Sequence[str]) -> Sequence[str]:
    """Return the part of the error that was raised last, of several that caused each other."""
    starts = [number for number, frame in enumerate(frames) if _OTHER_ERROR.match(frame)]
    return frames[starts[-1] + 1 :] if starts else frames


def last_lines(traceback: Sequence[str]) -> tuple[str, int]:
    """Return the last lines of a traceback, in colours, and how many came before them.

    Frames of IPython and of stepkit are folded to one line. Secrets that are known are masked
    before a text is cut: half of one could not be recognised.
    """
    items, left_out = _last_part(traceback)
    lines = [line for item in _folded(items) for line in item.split("\n")]
    if lines and _RULE.fullmatch(plain(lines[0])):
        del lines[0]
    while lines and not plain(lines[-1]).strip():
        lines.pop()
    shown = lines[-MOST_TRACEBACK:]
    text = "\n".join(line if len(line) <= _MOST_LINE else _cut(line) for line in shown)
    return text, left_out + len(lines) - len(shown)


def _last_part(traceback: Sequence[str]) -> tuple[list[str], int]:
    """Return the last texts, with a limit to their size, and the number of lines before them."""
    items: list[str] = []
    room, left_out = _MOST_READ, 0
    for item in reversed(traceback):
        text = item.rstrip("\n")
        kept, before = (text, 0) if len(text) <= room else _last_part_of(text, room)
        if kept:
            items.append(coloured(redact(kept)))
        room -= len(kept)
        left_out += before
    return items[::-1], left_out


def _last_part_of(text: str, room: int) -> tuple[str, int]:
    """Return the last lines of a text that is too long, of each the beginning."""
    lines: list[str] = []
    end = len(text)
    while room > 0 and end >= 0:
        begin = text.rfind("\n", 0, end) + 1
        lines.append(text[begin : min(end, begin + _MOST_READ_LINE)])
        room -= len(lines[-1]) + 1
        end = begin - 1
    return "\n".join(reversed(lines)), text.count("\n", 0, end) + 1 if end >= 0 else 0


def _folded(items: Iterable[str]) -> Iterator[str]:
    owner, count = "", 0
    for item in [*items, ""]:
        found = _owner(plain(item))
        if count and found != owner:
            yield f"... {count} {'frame' if count == 1 else 'frames'} of {owner}"
            count = 0
        owner = found
        if owner:
            count += 1
        else:
            yield item


def _owner(frame: str) -> str:
    found = _FRAME.match(frame.partition("\n")[0])
    owners = (name for name, path in _OURS.items() if found and path.search(found[1]))
    return next(owners, "")


def _cut(line: str) -> str:
    return plain(line)[:_MOST_LINE] + "..."
