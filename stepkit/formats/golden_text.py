"""An output that differs from the golden one as lines of plain text."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from stepkit.formats.plain_text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping


def place(difference: Mapping[str, Any]) -> str:
    """Name the output for people: ``cell 3 (`df.head()`), text/html``."""
    return f"cell {difference['cell']} (`{difference['title']}`), {difference['output']}"


def lines(difference: Mapping[str, Any]) -> list[str]:
    """Return what differs and the lines of both, ``-`` for the golden one and ``+`` for the new."""
    before, after = (str(difference[name]).splitlines() for name in ("golden", "new"))
    diff = list(difflib.unified_diff(before, after, lineterm="", n=max(len(before), len(after))))
    return [plain(line) for line in (str(difference["message"]), *diff[3:])]
