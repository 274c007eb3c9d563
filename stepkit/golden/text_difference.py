"""Compare two texts: their words exactly, their numbers within limits.

White space does not count, as NumPy and pandas pad numbers and break lines by their width.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from stepkit.formats.shorten import shorten
from stepkit.golden.finding import Finding, around

if TYPE_CHECKING:
    from stepkit.golden.finding import Tally
    from stepkit.golden.limits import Limits

_MARKS: Final = re.escape("[](){},;=|<>\"'±")
_DIGITS: Final = r"(?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][-+]?\d++)?+"
_NUMBER: Final = re.compile(rf"[-+]?{_DIGITS}")
# Of a complex number, both parts are words.
_WORD: Final = re.compile(
    rf"(?<![^\s{_MARKS}])[-+]?{_DIGITS}(?=[-+]{_DIGITS}[ji]\b)|[^\s{_MARKS}]+|[{_MARKS}]"
)
_LONGEST_NUMBER: Final = 400  # characters of a word; a longer one is data
_SHOWN: Final = 60  # characters


@dataclass
class _Numbers:
    """The numbers of one text that differ beyond the limits; the worst one, and where."""

    count: int = 0
    by: float = -1.0
    pair: tuple[str, str] = "", ""
    at: tuple[int, int] = 0, 0


def compare(golden: str, new: str, limits: Limits, tally: Tally) -> Finding | None:
    """Return how ``new`` differs from ``golden``, None if it does not; the cost is linear."""
    if golden == new:
        return None
    worst = _Numbers()
    for was, now in zip_longest(_WORD.finditer(golden), _WORD.finditer(new)):
        if was and now and was[0] == now[0]:
            continue
        numbers = _numbers(was[0], now[0]) if was and now else None
        if not numbers:
            return _words(golden, new, was, now)
        by = _relative(*numbers)
        if limits.accept(*numbers):
            tally.within += 1
            tally.largest = max(tally.largest, by if math.isfinite(by) else 0.0)
            continue
        worst.count += 1
        if by > worst.by:
            worst.by, worst.pair = by, (was[0], now[0])
            worst.at = was.start(), now.start()
    if not worst.count:
        return None
    lines = golden.count("\n", 0, worst.at[0]), new.count("\n", 0, worst.at[1])
    off = f"{100 * worst.by:.3g} % off, " if worst.by < math.inf else ""
    others = worst.count - 1
    more = f", and {others} other number{'s' if others > 1 else ''}" if others else ""
    return Finding(
        message=f"{worst.pair[1]} is not {worst.pair[0]} ({off}{limits.spell_numbers()}){more}",
        golden=around(golden, lines[0]),
        new=around(new, lines[1]),
    )


def _numbers(was: str, now: str) -> tuple[str, str] | None:
    """Return the numbers in two words that are the same but for them, such as ``3.1s``."""
    if max(len(was), len(now)) > _LONGEST_NUMBER:
        return None
    first, second = list(_NUMBER.finditer(was)), list(_NUMBER.finditer(now))
    if len(first) != 1 or len(second) != 1:  # a date, a version, a name: no number
        return None
    before, after = was[: first[0].start()], was[first[0].end() :]
    if before[-1:].isalpha() or before[-1:] == "_":
        return None
    same = (before, after) == (now[: second[0].start()], now[second[0].end() :])
    return (first[0][0], second[0][0]) if same else None


def _relative(golden: str, new: str) -> float:
    was, now = float(golden), float(new)
    return abs(now - was) / abs(was) if was and math.isfinite(was) else math.inf


def _words(golden: str, new: str, was: re.Match[str] | None, now: re.Match[str] | None) -> Finding:
    at_was, at_now = (m.start() if m else len(t.rstrip()) for m, t in ((was, golden), (now, new)))
    line, its = golden.count("\n", 0, at_was), new.count("\n", 0, at_now)
    if was and now:
        how = f"`{_line_at(new, at_now)}` is not `{_line_at(golden, at_was)}`"
    elif was:
        how = f"it ends before `{_line_at(golden, at_was)}`"
    else:
        how = f"`{_line_at(new, at_now)}` is new"
    where = f"line {its + 1}: " if "\n" in new.strip() and now else ""
    return Finding(message=f"{where}{how}", golden=around(golden, line), new=around(new, its))


def _line_at(text: str, place: int) -> str:
    """Return the line around ``place``, without what would make it long."""
    begin = max(text.rfind("\n", 0, place) + 1, place - _SHOWN // 2)
    return shorten(text[begin : begin + 2 * _SHOWN].partition("\n")[0].strip(), _SHOWN)
