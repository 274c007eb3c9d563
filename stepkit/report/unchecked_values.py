"""Values of a step's report that no schema checked, as what run.json may hold.

Texts lose control characters and what UTF-8 cannot spell, because they go to terminals and pages.
A value of another type than is asked for counts as unknown.
"""

from __future__ import annotations

import re
from typing import Any, Final

from stepkit.formats import plain_text
from stepkit.formats.shorten import shorten

_MOST_TEXT: Final = 10_000  # characters
_LARGEST: Final = 10**15  # more than any size in bytes; the schemas of reports have the same limit
_DEEPEST: Final = 8  # objects in objects
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


def text(value: Any, most: int = _MOST_TEXT) -> str:
    """Return a text without control characters but newlines, ``""`` for another type."""
    if not isinstance(value, str):
        return ""
    return shorten(_encodable(plain_text.plain(value[: 2 * most + 1])), most)


def line(value: Any) -> str:
    """Return a text as one line."""
    return " ".join(text(value).split())


def coloured(value: Any) -> str:
    """Return a whole text that keeps its ANSI colours."""
    return _encodable(plain_text.coloured(value)) if isinstance(value, str) else ""


def number(value: Any) -> float | None:
    """Return a finite number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < _LARGEST else None


def whole(value: Any) -> int | None:
    """Return a number rounded to a whole one, None for anything else."""
    found = number(value)
    return None if found is None else round(found)


def milliseconds(seconds: Any) -> int | None:
    """Return seconds as whole milliseconds, None for what is not a number."""
    found = number(seconds)
    return None if found is None else round(found * 1000)


def duration(seconds: Any) -> int | None:
    """Return a length in seconds as whole milliseconds, None for a negative one or no number."""
    found = milliseconds(seconds)
    return found if found is not None and found >= 0 else None


def objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list, none for another type."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def texts(value: Any) -> list[str]:
    """Return the texts in a list, each as one line, none for another type."""
    items = value if isinstance(value, list) else ()
    return [line(item) for item in items if isinstance(item, str)]


def versions(value: Any) -> dict[str, str]:
    """Return the texts in an object, by their names, none for another type."""
    items = value.items() if isinstance(value, dict) else ()
    return {line(name): line(item) for name, item in items if isinstance(item, str)}


def tree(value: Any, depth: int = _DEEPEST) -> Any:
    """Return a JSON value whose texts and numbers are as those above, no deeper than ``depth``."""
    if isinstance(value, str):
        return text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return number(value)
    if not depth:
        return None
    if isinstance(value, dict):
        return {line(name): tree(item, depth - 1) for name, item in value.items()}
    return [tree(item, depth - 1) for item in value]


def _encodable(value: str) -> str:
    return _SURROGATE.sub("\ufffd", value)
