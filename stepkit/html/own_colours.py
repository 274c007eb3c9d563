"""Say whether a piece of HTML brings colours along, which were chosen for a light ground."""

from __future__ import annotations

import re
from typing import Final

_COLOURED: Final = re.compile(
    r"\b(?:math)?color[\"']?\s*[:=]|\bbackground(?:-[a-z]+)?\s*[:=]|\bbgcolor\s*=|\bfill\s*[:=]"
    r"|<(?:svg|canvas|script|iframe)\b"
)
# Pages have few of them, and to look for each takes a twentieth of a search for the pattern.
_NEEDED: Final = ("color", "background", "fill", "<svg", "<canvas", "<script", "<iframe")


def has_own_colours(fragment: str) -> bool:
    """Return whether the fragment sets colours, draws, or may do so by a script."""
    lowered = fragment.lower()
    return any(word in lowered for word in _NEEDED) and _COLOURED.search(lowered) is not None
