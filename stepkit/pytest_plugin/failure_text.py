"""The text of a failed notebook, as pytest shows a failed test."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stepkit.formats import golden_text
from stepkit.formats.plain_text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepkit.errors import Evidence, StepError
    from stepkit.golden.differences import Difference

_MOST_SOURCE: Final = 20  # lines of a cell before the one that failed
_FRAME: Final = re.compile(r"^(?=(?:Cell|File|Input) )", re.MULTILINE)  # of IPython's tracebacks


def text(error: StepError, differences: Sequence[Difference], message: str) -> str:
    """Return the cell up to the line that failed, the traceback, the error and the message.

    ``differences`` are outputs that are not the golden ones.
    """
    blocks = [line for each in differences for line in (*difference(each), "")]
    return "\n".join([*_evidence(error), *blocks, *([] if message in blocks else [message])])


def difference(found: Difference) -> list[str]:
    """Return the lines of an output that is not the golden one: which and how, then both."""
    known = vars(found)
    how, *both = golden_text.lines(known)
    return [f"{golden_text.place(known)}: {how}", *both]


def _evidence(error: StepError) -> Iterator[str]:
    if not error.evidence:
        return
    evidence, place = error.evidence, error.place
    yield from _source(evidence)
    if place:
        where = ":".join(str(part) for part in (place.file, place.line) if part)
        yield f"\n{where}: {place.title}"
    raised = plain(f"{evidence.ename}: {evidence.evalue}".removesuffix(": "))
    frames = _FRAME.split(plain(evidence.traceback))
    # The frame of the cell is its source, which is shown already.
    further = "".join(frames[2:] if len(frames) > 1 else frames).rstrip()
    if further := further.removesuffix(raised).rstrip():
        yield f"\n{further}"
    if evidence.ename:
        yield "\n".join(f"E   {line}".rstrip() for line in raised.split("\n"))
    if evidence.output:
        yield "\nlast lines of its output:"
        yield from (f"    {plain(line)}" for line in evidence.output)
    if evidence.stack:
        yield f"\nwhere its threads were:\n{plain(evidence.stack)}"
    yield ""


def _source(evidence: Evidence) -> Iterator[str]:
    source = plain(evidence.source).split("\n")
    last = evidence.line or len(source)
    for number, line in enumerate(source[:last], 1):
        if number > last - _MOST_SOURCE:
            yield f"{'>' if number == evidence.line else ' '}   {line}".rstrip()
