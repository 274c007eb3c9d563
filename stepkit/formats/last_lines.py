"""The end of a long text, such as what a tool printed: its last lines, and how many came before."""

from __future__ import annotations

from typing import Final

from stepkit.formats.shorten import shorten

_LONGEST: Final = 2000  # characters of a line


def last_lines(text: str, most: int) -> tuple[str, int]:
    """Return the last ``most`` lines of ``text``, and how many lines were left out before them.

    Very long lines are cut.
    """
    lines = text.rstrip().split("\n")
    kept = lines[-most:]
    return "\n".join(shorten(line, _LONGEST) for line in kept), len(lines) - len(kept)
