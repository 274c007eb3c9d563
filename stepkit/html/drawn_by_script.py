"""Say whether a piece of HTML is empty until a script runs."""

from __future__ import annotations

import re
from typing import Final

_FLAGS: Final = re.DOTALL | re.IGNORECASE
_SCRIPT_TAG: Final = re.compile(r"<(/?)(script|style)\b[^<>]*>?", _FLAGS)
_VISIBLE: Final = re.compile(r"<(?:img|svg|table|canvas|video|audio|input|button|math)\b", _FLAGS)


def is_drawn_by_script(fragment: str) -> bool:
    """Return whether nothing of the fragment is visible before a script runs."""
    if "<script" not in fragment.lower():
        return False
    outside, end, within = "", 0, ""
    for match in _SCRIPT_TAG.finditer(fragment):
        closing, name = bool(match[1]), match[2].lower()
        if not within and not closing:
            outside += fragment[end : match.start()]
            within = name
        elif within == name and closing:
            end, within = match.end(), ""
    if not within:
        outside += fragment[end:]
    return not _VISIBLE.search(outside) and not re.sub(r"<[^<>]*>", "", outside).strip()
