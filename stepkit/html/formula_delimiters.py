r"""Find the formulas in the text of a page, by the rules of MathJax's tex2jax."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_START: Final = re.compile(
    r"\\begin\{(?P<name>[^{}]*)\}|\\(?:eq)?ref\{[^{}]*\}|(?<!\\)\\++\$|\$\$?|\\[(\[]"
)
_ENDS: Final = {"$": "$", "$$": "$$", r"\(": r"\)", r"\[": r"\]"}
# Text that could hold a formula.
_MARK: Final = re.compile(r"\$|\\(?:[(\[]|begin\{|(?:eq)?ref\{)")
# "$5 and $6": the text between two prices, without anything that only TeX has.
_PRICE: Final = re.compile(r"\d[^\\^_={}<>]*")
_PRICE_IN_TEXT: Final = re.compile(r"\d[^\\^_={}<>]*(?:[a-zA-Z]{2}|[,;])[^\\^_={}<>]*\s")
_MAX_BALANCED: Final = 5_000  # characters within which the braces of a formula are counted
_MAX_WASTED: Final = 100_000  # characters of a text that are read in vain for that


@dataclass(frozen=True, kw_only=True, slots=True)
class Formula:
    """A formula and its place in the text; an escaped dollar has no TeX."""

    start: int
    end: int
    tex: str
    display: bool


def may_hold_formula(text: str) -> bool:
    """Return whether the text holds a delimiter of a formula."""
    return bool(_MARK.search(text))


def find_formulas(text: str) -> Iterator[Formula]:
    """Yield the formulas of a text from the first to the last."""
    at, wasted = 0, 0
    absent: set[str] = set()
    while start := _START.search(text, at):
        at = start.end()
        opening = start[0]
        if opening[0] == "\\" and opening[-1] == "$":
            yield Formula(start=at - 2, end=at, tex="", display=False)
            continue
        if opening[-1] == "}" and start["name"] is None:
            yield Formula(start=start.start(), end=at, tex=opening, display=False)
            continue
        closing = _ENDS.get(opening) or rf"\end{{{start['name']}}}"
        end, balanced = (-1, True) if closing in absent else _find_end(text, at, closing, wasted)
        if end < 0:
            absent.add(closing)
            continue
        wasted += 0 if balanced else _MAX_BALANCED
        tex = text[at:end]
        if opening == "$" and _is_price(tex, text[end + 1 : end + 2]):
            continue
        if start["name"] is not None:
            tex = opening + tex + closing
        at = end + len(closing)
        display = opening not in {"$", r"\("}
        yield Formula(start=start.start(), end=at, tex=tex, display=display)


@lru_cache(maxsize=64)
def _pattern(closing: str) -> re.Pattern[str]:
    return re.compile(re.escape(closing) + r"|\\.|[{}]", re.DOTALL)


def _is_price(tex: str, after: str) -> bool:
    return bool(_PRICE.fullmatch(tex) and (after.isdigit() or _PRICE_IN_TEXT.fullmatch(tex)))


def _find_end(text: str, start: int, closing: str, wasted: int) -> tuple[int, bool]:
    """Return where the closing delimiter begins, -1 if there is none, and if braces match there.

    A delimiter within braces counts only if there is none after them.
    """
    first, braces = -1, 0
    window = start + (_MAX_BALANCED if wasted < _MAX_WASTED else 0)
    for match in _pattern(closing).finditer(text, start, window):
        if match[0] == closing:
            if braces == 0:
                return match.start(), True
            first = match.start() if first < 0 else first
        elif match[0] == "{":
            braces += 1
        elif match[0] == "}" and braces:
            braces -= 1
    return (first if first >= 0 else text.find(closing, min(window, len(text)))), False
