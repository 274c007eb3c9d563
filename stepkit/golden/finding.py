"""What differs in one output, before it is known of which cell it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from stepkit.formats.shorten import shorten

_MOST_LINES: Final = 12
_MOST_LINE: Final = 200  # characters
_BEFORE: Final = 2  # lines that both have


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One output that differs: ``message`` says how, ``golden`` and ``new`` are parts of both.

    ``images`` are data URIs of the golden image, the new one, and the pixels that differ.
    """

    message: str
    golden: str = ""
    new: str = ""
    images: tuple[str, ...] = ()


@dataclass
class Tally:
    """How many numbers and images differ within the limits.

    ``largest`` is by how much of the golden one a number does at most; of a golden 0, nothing is a
    part.
    """

    within: int = 0
    largest: float = 0.0


def around(text: str, line: int) -> str:
    """Return some lines of ``text`` around ``line``, from 0, with what was left out."""
    lines = text.split("\n", line + _MOST_LINES)
    first = max(line - _BEFORE, 0)
    shown = [shorten(each, _MOST_LINE) for each in lines[first : first + _MOST_LINES]]
    return "\n".join([*(["..."] if first else []), *shown]).rstrip()
