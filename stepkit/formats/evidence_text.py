"""Evidence of a failure as lines of plain text, for a log, a terminal or a block of code."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import Evidence, Place
from stepkit.formats.plain_text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WIDTH: Final = 75  # characters of a headline, as in IPython's tracebacks
_BEFORE: Final = 4  # lines of source before the one that failed
_AFTER: Final = 2
_MOST_SOURCE: Final = 10  # lines of source where it is unknown which one failed


def of_json(error: Mapping[str, Any]) -> Evidence:
    """Return the evidence that a report or a run.json has as an object."""
    known = {field.name for field in fields(Evidence)}
    found = {name: value for name, value in error.items() if name in known}
    return Evidence(**{**found, "output": tuple(found.get("output", ()))})


def place_of_json(place: Mapping[str, Any] | None) -> Place | None:
    """Return the place of a failure that a report has as an object, None without one."""
    if not place:
        return None
    return Place(title=place["title"], file=place.get("file", ""), line=place.get("line"))


def lines(evidence: Evidence, *, where: str) -> list[str]:
    """Return a block of lines with the source, the traceback, the last output and the stack.

    ``where`` names what failed, such as ``cell 2 of 4``. The lines have no colours and no control
    characters. Evidence without anything to show has no lines.
    """
    parts = (_source(evidence), _error(evidence), _output(evidence), _stack(evidence))
    block = [line.rstrip() for part in parts for line in part]
    if not block:
        return []
    at = f"{where}, line {evidence.line}" if evidence.line else where
    return [f"--- {at} ".ljust(_WIDTH, "-"), *block, "-" * _WIDTH]


def _source(evidence: Evidence) -> Iterator[str]:
    """Yield the lines around the one that failed, unless the traceback shows that one."""
    source = evidence.source.split("\n") if evidence.source.strip() else []
    failed = evidence.line
    first, last = (failed - _BEFORE, failed + _AFTER) if failed else (1, _MOST_SOURCE)
    shown = range(max(first, 1), min(last, len(source)) + 1)
    if failed and failed in shown and _shows(evidence, failed, source[failed - 1]):
        return
    for number in shown:
        arrow = f"{'-' * (5 - len(str(number)))}> " if number == failed else ""
        yield plain(f"{arrow}{number}".rjust(7) + f" {source[number - 1]}")
    if not failed and len(source) > _MOST_SOURCE:
        yield f"    ... {len(source) - _MOST_SOURCE} more lines"


def _shows(evidence: Evidence, line: int, code: str) -> bool:
    arrow = rf"^-+> {line} {re.escape(plain(code))}$"
    return re.search(arrow, plain(evidence.traceback), re.MULTILINE) is not None


def _error(evidence: Evidence) -> Iterator[str]:
    if not evidence.traceback:
        if evidence.ename:
            yield plain(f"{evidence.ename}: {evidence.evalue}".removesuffix(": "))
        return
    if evidence.left_out:
        yield f"... {evidence.left_out} lines before"
    yield from plain(evidence.traceback).split("\n")


def _output(evidence: Evidence) -> Iterator[str]:
    if evidence.output:
        yield "last lines of its output:"
        for line in evidence.output:
            yield plain(f"  | {line}")


def _stack(evidence: Evidence) -> Iterator[str]:
    if evidence.stack:
        yield "where its threads were:"
        yield from plain(evidence.stack).split("\n")
