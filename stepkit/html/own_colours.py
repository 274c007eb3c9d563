"""Say whether a piece of HTML brings colours along, which were chosen for a light ground."""

from __future__ import annotations

import re
from typing import Final

_COLOURED: Final = re.compile(
    r"\b(?:math)?color[\"']?\s*[:=]|\bbackground(?:-[a-z]+)?\s*[:=]|\bbgcolor\s*=|\bfill\s*[:=]"
    r"|<(?:svg|canvas|script|iframe)\b",
    re.IGNORECASE,
)


def has_own_colours(fragment: str) -> bool:
    """Return whether the fragment sets colours, draws, or may do so by a script."""
    return _COLOURED.search(fragment) is not None
