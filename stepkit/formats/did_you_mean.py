"""Suggest the word that a misspelt one was meant to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], alike: float = 0.6) -> str:
    """Return the most similar word in ``known``, or ``""`` if none is ``alike``: 1 is the same."""
    import difflib

    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=alike)), "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a message about ``word``: the most similar known word, or all of them."""
    names = sorted(known)
    if near := nearest(word, names):
        return f": did you mean {near}?"
    return f" (known: {', '.join(names)})" if names else ""
