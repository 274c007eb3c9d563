"""Shorten a text that a message or a table has no room for."""

from __future__ import annotations

from stepkit.redaction import redact


def shorten(text: str, most: int, *, ellipsis: str = "...") -> str:
    """Return ``text``, cut to ``most`` characters that end in ``ellipsis`` if it is longer.

    Secrets are masked before it is cut: a part of one would not be recognised any more.
    """
    if len(text) <= most:
        return text
    masked = redact(text)
    return masked if len(masked) <= most else masked[: most - len(ellipsis)] + ellipsis
