"""Words that nearly were others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Name what ``word`` may have meant, or everything it could have been."""
    import difflib

    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f": did you mean {near[0]}?"
    return f" (known: {', '.join(names)})" if names else ""
