"""How a page on a terminal looks: its width, colours where they are wanted, and bars."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_BOLD, _FAINT, _RED, _GREEN, _YELLOW = "1", "2", "31", "32", "33"


@dataclass(frozen=True, kw_only=True)
class Paint:
    """What the reader's terminal can show; the default is plain text.

    ``width`` is in columns. Without ``unicode`` bars are made of ``#``.
    """

    width: int = 100
    colour: bool = False
    unicode: bool = True

    def strong(self, text: str) -> str:
        """Return ``text`` in bold."""
        return self._styled(_BOLD, text)

    def faint(self, text: str) -> str:
        """Return ``text`` that matters less."""
        return self._styled(_FAINT, text)

    def state(self, status: str, text: str | None = None) -> str:
        """Return ``text``, by default the word ``status`` itself, in the colour of that status."""
        text = status if text is None else text
        if status in {"failed", "error", "stopped", "cancelled"}:
            return self._styled(f"{_BOLD};{_RED}", text)
        if status in {"tolerated", "passed with tolerated errors", "incomplete", "flaky"}:
            return self._styled(_YELLOW, text)
        return (
            self._styled(_GREEN, text)
            if status in {"passed", "succeeded", "ok", "reused"}
            else text
        )

    def bar(self, begin: float, length: float, columns: int) -> str:
        """Return a bar in ``columns``; ``begin`` and ``length`` are shares of them, from 0 to 1.

        Whatever took any time is visible.
        """
        start = min(int(begin * columns), columns - 1)
        size = max(length * columns, 0)
        if not self.unicode:
            count = min(max(round(size), 1 if length > 0 else 0), columns - start)
            return " " * start + "#" * count
        whole = math.floor(size)
        rest = _EIGHTHS[int((size - whole) * 8)] if whole < columns - start else ""
        drawn = ("█" * min(whole, columns - start) + rest).rstrip()
        return " " * start + (drawn or ("▏" if length > 0 else ""))

    def _styled(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text
