"""What shows why a cell, a step or a test failed: the line of code, the rest folded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.formats.shorten import shorten
from stepkit.report.summary.markdown_text import block, count, folded, paragraphs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.report.run_json_notebook import ErrorJson

_BEFORE: Final = 4  # lines of code before the one that failed
_AFTER: Final = 2
_MOST_SOURCE: Final = 12  # lines of code where it is unknown which one failed
_MOST_LINE: Final = 200  # characters of a line of code
_MOST_OUTPUT: Final = 20  # lines


def evidence(error: ErrorJson) -> list[str]:
    """Return the code that failed, else the first that is known, and the rest folded.

    Where there is neither traceback nor stack, what the cell printed is not folded.
    """
    size = count(error["traceback"].count("\n") + 1, "line")
    if error["left_out"]:
        size = f"the last {size} of {error['left_out'] + error['traceback'].count(chr(10)) + 1}"
    texts = {
        "Code": excerpt(error),
        f"Traceback ({size})": error["traceback"],
        "Last output": "\n".join(error["output"][-_MOST_OUTPUT:]),
        "Where the threads of the kernel were": error["stack"],
    }
    known = [(title, text) for title, text in texts.items() if text.strip()]
    opened = 1 if error["traceback"].strip() or error["stack"].strip() else 2
    return paragraphs(
        *(block(text) for _, text in known[:opened]),
        *(folded(title, block(text)) for title, text in known[opened:]),
    )


def excerpt(error: ErrorJson) -> str:
    """Return the code around the line that failed, which an arrow marks, with line numbers."""
    source = error["source"].rstrip().split("\n")
    line = error["line"] or 0
    line = line if 0 < line <= len(source) else 0
    if not any(source):
        return ""
    first, last = (line - _BEFORE, line + _AFTER) if line else (1, _MOST_SOURCE)
    last = min(last, len(source))
    while last > line and not source[last - 1].strip():
        last -= 1
    shown = range(max(first, 1), last + 1)
    width = len(str(shown[-1])) if shown else 0
    return "\n".join(_numbered(source, shown, line, width))


def _numbered(source: list[str], shown: range, line: int, width: int) -> Iterator[str]:
    for number in shown:
        arrow = "->" if number == line else "  "
        code = shorten(source[number - 1], _MOST_LINE)
        yield f"{arrow} {number:>{width}}  {code}".rstrip()
    if not line and len(source) > len(shown):
        yield f"   ... {count(len(source) - len(shown), 'more line')}"
