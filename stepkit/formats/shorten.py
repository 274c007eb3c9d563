"""Shorten a text that a message or a table has no room for."""

from __future__ import annotations


def shorten(text: str, most: int, *, ellipsis: str = "...") -> str:
    """Return ``text``, cut to ``most`` characters that end in ``ellipsis`` if it is longer."""
    return text if len(text) <= most else text[: most - len(ellipsis)] + ellipsis
