"""Terminal output as HTML: ANSI colours become spans, other control sequences are left out."""

from __future__ import annotations

import html
import math
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# A colour code, another control sequence, or an operating system command (a hyperlink's target).
_CODE: Final = re.compile(
    r"\x1b\[([\d;:]*)m|\x1b\[[^@-~\n]*[@-~]|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)"
)

_XTERM: Final = (
    (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0),
    (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229),
    (127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0),
    (92, 92, 255), (255, 0, 255), (0, 255, 255), (255, 255, 255),
)  # fmt: skip
_NAMES: Final = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_COLOURS: Final = (*_NAMES, *(f"{name}-intense" for name in _NAMES))
_LUMINANCE: Final = 0.3  # relative, from 0 to 1: a contrast of 4.5 with dark grey and dark red

Colour = int | tuple[int, int, int] | None


def to_html(text: str, *, classes_only: bool = False) -> str:
    """Escape the text, and turn ANSI colours into spans with nbconvert's classes.

    Colours beyond the 16 that have a class become styles, with a lighter one as ``--on-dark`` if it
    cannot be read on a dark ground. With ``classes_only`` they become the nearest of those 16, for
    a page whose theme chooses colours that can be read on its background.
    """
    if "\x1b" not in text:
        return html.escape(text)
    spans, style, end = [], _Style(), 0
    for code in _CODE.finditer(text):
        spans.append(style.wrap(text[end : code.start()]))
        end = code.end()
        if code[1] is not None:
            style = style.after([int(n[:4] or 0) for n in re.split("[;:]", code[1])])
            if classes_only:
                style = replace(style, fore=_nearest(style.fore), back=_nearest(style.back))
    spans.append(style.wrap(text[end:]))
    return "".join(spans)


@dataclass(frozen=True)
class _Style:
    """The style of text. A colour is a number from 0 to 15, or red, green and blue."""

    fore: Colour = None
    back: Colour = None
    bold: bool = False
    underline: bool = False
    inverse: bool = False

    def after(self, numbers: list[int]) -> _Style:
        """Return the style after a code of ECMA-48 that consists of ``numbers``."""
        style, rest = self, iter(numbers)
        for number in rest:
            if number == 0:
                style = _PLAIN
            elif number == 38:  # noqa: PLR2004
                style = replace(style, fore=_read_extended_colour(rest))
            elif number == 48:  # noqa: PLR2004
                style = replace(style, back=_read_extended_colour(rest))
            else:
                style = replace(style, **_CHANGES.get(number, {}))
        return style

    def wrap(self, text: str) -> str:
        """Return ``text`` as HTML in this style."""
        if not text or self == _PLAIN:
            return html.escape(text)
        fore, back = self.fore, self.back
        if self.bold and isinstance(fore, int) and fore < len(_NAMES):
            fore += len(_NAMES)
        if self.inverse:
            fore, back = back, fore
        classes, rules = [], []
        for colour, suffix, rule in ((fore, "fg", "color"), (back, "bg", "background-color")):
            if isinstance(colour, int):
                classes.append(f"ansi-{_COLOURS[colour]}-{suffix}")
            elif colour:
                rules.append(f"{rule}: rgb{colour}")
            elif self.inverse:
                classes.append(f"ansi-default-inverse-{suffix}")
        classes += ["ansi-bold"] * self.bold + ["ansi-underline"] * self.underline
        if isinstance(fore, tuple) and back is None and (light := _lighten(fore)) != fore:
            rules.append(f"--on-dark: rgb{light}")
        attributes = f' class="{" ".join(classes)}"' if classes else ""
        attributes += f' style="{"; ".join(rules)}"' if rules else ""
        return f"<span{attributes}>{html.escape(text)}</span>"


def _nearest(colour: Colour) -> Colour:
    """Return the number of the nearest of xterm's first 16 colours."""
    if not isinstance(colour, tuple):
        return colour
    distances = [math.dist(colour, known) for known in _XTERM]
    return distances.index(min(distances))


@lru_cache(maxsize=1024)
def _lighten(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Mix a colour with white until it can be read on a dark ground."""
    red, green, blue = colour
    while 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 < _LUMINANCE * 255**2.2:
        red, green, blue = (min(255, one + (255 - one) // 8 + 1) for one in (red, green, blue))
    return red, green, blue


_PLAIN: Final = _Style()
_CHANGES: Final[dict[int, dict[str, Any]]] = {
    1: {"bold": True},
    5: {"bold": True},
    21: {"bold": False},
    22: {"bold": False},
    4: {"underline": True},
    24: {"underline": False},
    7: {"inverse": True},
    27: {"inverse": False},
    39: {"fore": None},
    49: {"back": None},
    **{30 + n: {"fore": n} for n in range(8)},
    **{90 + n: {"fore": 8 + n} for n in range(8)},
    **{40 + n: {"back": n} for n in range(8)},
    **{100 + n: {"back": 8 + n} for n in range(8)},
}


def _read_extended_colour(numbers: Iterator[int]) -> Colour:
    """Read one of 256 colours (``5;n``), or any colour (``2;red;green;blue``)."""
    kind = next(numbers, None)
    if kind == 2:  # noqa: PLR2004 - ECMA-48's codes
        red, green, blue = (next(numbers, 0) & 255 for _ in range(3))
        return red, green, blue
    index = next(numbers, -1)
    if not 0 <= index <= 255:  # noqa: PLR2004
        return None
    if index < len(_COLOURS):
        return index
    if index >= 232:  # noqa: PLR2004 - xterm's greys
        return (8 + (index - 232) * 10,) * 3
    steps = (index - 16) // 36, (index - 16) // 6 % 6, (index - 16) % 6
    red, green, blue = (55 + step * 40 if step else 0 for step in steps)
    return red, green, blue
