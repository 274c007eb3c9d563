r"""Numbers of equations, and what ``\label``, ``\ref`` and ``\eqref`` make of them."""

from __future__ import annotations

import re
from typing import Final

from stepkit.html.tex_macros import TexError

# Marks the text of a number in a formula, from the label's anchor if there is one: ANCHOR, text.
MARK: Final = "\ufdd1"
_MARKUP: Final = re.compile(r"\$|\\[()]")


class EquationNumbers:
    """The numbers that a page has given so far, as MathJax gives them with ``autoNumber: AMS``."""

    def __init__(self) -> None:
        self._last = 0
        self._labels: dict[str, str] = {}

    def restart(self) -> None:
        """Begin with the first number again, and keep the labels."""
        self._last = 0

    def number(self, tag: str | None, label: str, *, starred: bool = False) -> str:
        """Return TeX that shows the number of a row; with ``tag`` it is that, else the next."""
        if tag is None:
            self._last += 1
            tag = str(self._last)
        tag = _MARKUP.sub("", tag).strip()
        if re.search(r"[\\{}]", tag):
            raise TexError(r"\tag with commands is not supported")
        if label:
            self._labels[label] = tag
        anchor = make_anchor(label) if label else ""
        return rf"\text{{{MARK}{anchor}{MARK}{tag if starred else f'({tag})'}}}"

    def find(self, label: str) -> str:
        """Return the number of a label; raise :class:`TexError` if no equation has it."""
        if label not in self._labels:
            raise TexError(f"no equation has the label {label}")
        return self._labels[label]


def make_anchor(label: str) -> str:
    """Return the id of the equation with this label, as MathJax makes it."""
    return "mjx-eqn-" + re.sub(r"[^\w:.-]", "_", label)
