"""What shows why a cell failed: its code, the line that did, the traceback, its last output."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from stepkit.errors import Evidence
from stepkit.formats.plain_text import plain
from stepkit.formats.shorten import shorten
from stepkit.notebook import traceback_text
from stepkit.redaction import redact

MOST_OUTPUT: Final = 20  # lines that a cell printed last
_MOST_LINE: Final = 500  # characters of one of them
_MOST_PRINTED: Final = 1 << 16  # characters, of which those lines are the last
_MOST_SOURCE: Final = 200  # lines, around the one that failed
_MOST_EVALUE: Final = 10_000  # characters; tolerances and remedies read no more
_SCRIPT_ENDED: Final = re.compile(  # as subprocess spells it, of a command in bytes
    r"Command 'b['\"].*['\"]' (returned non-zero exit status \d+|died with [^']+?)\.?\Z", re.DOTALL
)
_CELL_FILE: Final = re.compile(r"\(\d+\.py, (line \d+)\)\Z")

Output = Mapping[str, Any]  # as in a notebook's file


def gather(
    source: str,
    outputs: Sequence[Output],
    *,
    ename: str = "",
    evalue: str = "",
    stack: str = "",
    line: int | None = None,
) -> Evidence:
    """Return what is known of a cell that failed.

    ``outputs`` are the cell's, in which texts may be lists of lines. ``ename`` and ``evalue`` are
    those of the kernel's reply; without them, those of the last error in ``outputs``. ``stack`` is
    where the kernel's threads were, and ``line`` the line of ``source`` in it; that of a traceback
    goes before it. The result is limited in size, whatever the cell did.
    """
    errors = [output for output in outputs if output["output_type"] == "error"]
    same = [error for error in errors if not ename or error.get("ename") == ename]
    error = same[-1] if same else {}
    items = [item for item in error.get("traceback", ()) if isinstance(item, str)]
    line = traceback_text.failed_line(source, items) or line
    traceback, left_out = traceback_text.last_lines(items)
    shown, line = _around(source, line)
    name, text = (ename, evalue) if ename else (error.get("ename", ""), error.get("evalue", ""))
    if ended := _how_a_script_ended(str(name), str(text), outputs):
        text, traceback, left_out = ended, "", 0  # a traceback through IPython's magics says less
    return Evidence(
        ename=plain(str(name)),
        evalue=short_evalue(str(text)),
        source=shown,
        line=line,
        traceback=traceback,
        left_out=left_out,
        output=tuple(last_printed(outputs)),
        stack=stack,
    )


def _how_a_script_ended(ename: str, evalue: str, outputs: Sequence[Output]) -> str:
    """Return how the script of a ``%%bash`` cell ended, and what it said first; "" for others.

    The error's own text is the whole script, escaped.
    """
    found = _SCRIPT_ENDED.match(evalue) if ename == "CalledProcessError" else None
    if not found:
        return ""
    texts = [output.get("text", "") for output in outputs if output.get("name") == "stderr"]
    said = "".join(text if isinstance(text, str) else "".join(text) for text in texts)
    first = next((line.strip() for line in said.splitlines() if line.strip()), "")
    return f"the script {found[1]}" + (f": {shorten(first, _MOST_LINE)}" if first else "")


def short_evalue(evalue: str) -> str:
    """Return the text of an exception within the limit that evidence has for it.

    A syntax error says the line alone: the file that IPython names is not one that a reader has.
    """
    text = plain(redact(evalue[: 2 * _MOST_EVALUE]))[:_MOST_EVALUE]
    return _CELL_FILE.sub(r"(\1)", text)


def last_printed(outputs: Sequence[Output]) -> list[str]:
    """Return the last lines that a cell printed, without colours."""
    pieces: list[str] = []
    room = _MOST_PRINTED
    for text in _printed_backwards(outputs):
        kept = text[max(len(text) - room, 0) :]
        pieces.append(kept)
        room -= len(kept)
        if room <= 0 or sum(piece.count("\n") for piece in pieces) > MOST_OUTPUT:
            break
    lines = plain(redact("".join(reversed(pieces)))).rstrip("\n").split("\n")
    if lines == [""]:
        return []
    return [line if len(line) <= _MOST_LINE else line[:_MOST_LINE] + "..." for line in lines][
        -MOST_OUTPUT:
    ]


def _printed_backwards(outputs: Sequence[Output]) -> Iterable[str]:
    for output in reversed(outputs):
        if output["output_type"] == "stream":
            text = output.get("text", "")
            yield text if isinstance(text, str) else "".join(text)


def _around(source: str, line: int | None) -> tuple[str, int | None]:
    """Return the lines of a cell around ``line``, and its number in them."""
    lines = source.split("\n")
    first = max((line or 1) - _MOST_SOURCE // 2, 1) - 1 if len(lines) > _MOST_SOURCE else 0
    shown = [
        text if len(text) <= _MOST_LINE else text[:_MOST_LINE] + "..."
        for text in islice(lines, first, first + _MOST_SOURCE)
    ]
    if first:
        shown.insert(0, f"... {first} lines before")
        line = line and line - first + 1
    if rest := len(lines) - first - _MOST_SOURCE:
        shown += [f"... {rest} lines after"] if rest > 0 else []
    return plain(redact("\n".join(shown))), line
