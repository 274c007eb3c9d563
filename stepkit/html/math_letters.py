"""Letters in bold, script, fraktur and the like as the characters that Unicode has for them."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Final

# How a browser shows a text; MathML Core has no variants of it.
STYLES: Final = {
    "bold": "font-weight:bold",
    "italic": "font-style:italic",
    "sans-serif": "font-family:sans-serif",
    "monospace": "font-family:monospace",
}
# Where each alphabet begins: capital and small letters, Greek of both, digits; 0 for none.
_ALPHABETS: Final = {
    "bold": (0x1D400, 0x1D41A, 0x1D6A8, 0x1D6C2, 0x1D7CE),
    "italic": (0x1D434, 0x1D44E, 0x1D6E2, 0x1D6FC, 0),
    "bold-italic": (0x1D468, 0x1D482, 0x1D71C, 0x1D736, 0x1D7CE),
    "script": (0x1D49C, 0x1D4B6, 0, 0, 0),
    "fraktur": (0x1D504, 0x1D51E, 0, 0, 0),
    "double-struck": (0x1D538, 0x1D552, 0, 0, 0x1D7D8),
    "sans-serif": (0x1D5A0, 0x1D5BA, 0, 0, 0x1D7E2),
    "sans-serif-italic": (0x1D608, 0x1D622, 0, 0, 0x1D7E2),
    "monospace": (0x1D670, 0x1D68A, 0, 0, 0x1D7F6),
}
_FIRST_AND_COUNT: Final = ((0x41, 26), (0x61, 26), (0x391, 25), (0x3B1, 25), (0x30, 10))
# Letters that Unicode had before it had the alphabets, which have no character in their place.
_LETTERLIKE: Final = range(0x2100, 0x2150)
_NAMES: Final = {"script": "SCRIPT", "fraktur": "BLACK-LETTER", "double-struck": "DOUBLE-STRUCK"}


def change(text: str, variant: str) -> str:
    """Return the text with the letters that the variant has; the others stay as they are."""
    return text.translate(_table(variant)) if variant in _ALPHABETS else text


@cache
def _table(variant: str) -> dict[int, int]:
    table: dict[int, int] = {}
    for (first, count), start in zip(_FIRST_AND_COUNT, _ALPHABETS[variant], strict=True):
        if start:
            table.update({first + place: start + place for place in range(count)})
    for code in _LETTERLIKE:
        name = unicodedata.name(chr(code), "")
        if variant in _NAMES and name.startswith(_NAMES[variant]):
            table[ord(unicodedata.normalize("NFKC", chr(code)))] = code
    if variant == "italic":
        table[ord("h")] = 0x210E
    return table
