"""Words that nearly were others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str:
    """Return what ``word`` may have meant, or ``""`` when it is like nothing known."""
    import difflib

    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Name what ``word`` may have meant, or everything it could have been."""
    names = sorted(known)
    if near := nearest(word, names):
        return f": did you mean {near}?"
    return f" (known: {', '.join(names)})" if names else ""
