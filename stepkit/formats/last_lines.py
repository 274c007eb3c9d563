"""The end of a long text, such as a traceback: its last lines, and how many came before them."""

from __future__ import annotations

import re
from typing import Final

from stepkit.formats.shorten import shorten

_LONGEST: Final = 2000  # characters of a line
# Colours and cursor moves; pytest's JUnit reports spell the escape character #x1B.
_ESCAPES: Final = re.compile(r"(?:\x1b|#x1B)(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")


def last_lines(text: str, most: int) -> tuple[str, int]:
    """Return the last ``most`` lines of ``text``, and how many lines were left out before them.

    Very long lines are cut.
    """
    lines = text.rstrip().split("\n")
    kept = lines[-most:]
    return "\n".join(shorten(line.rstrip("\r"), _LONGEST) for line in kept), len(lines) - len(kept)


def without_escapes(text: str) -> str:
    """Return ``text`` without the escape sequences of a terminal."""
    return _ESCAPES.sub("", text)
