"""What the cells of a run printed last, as lines, for whoever watches the run."""

from __future__ import annotations

import re
import threading
from collections import deque
from typing import Final

from stepkit.engine.carriage_returns import Lines
from stepkit.formats.plain_text import plain
from stepkit.formats.shorten import shorten
from stepkit.redaction import redact

_MOST_LINES: Final = 20
_MOST_KEPT: Final = 1 << 14  # characters, of which those lines are the last
_LONGEST: Final = 500  # characters of a line
_FIRST_LINE: Final = re.compile(r"[^\r\n]*[\r\n]?")


class LastPrinted:
    """The end of what was printed; adding to it costs little, whatever a cell prints."""

    def __init__(self) -> None:
        self._pieces: deque[str] = deque()
        self._size = 0
        self._cut = False  # there was more before the first piece
        self._stream = ""
        self._lock = threading.Lock()

    def add(self, stream: str, text: str) -> None:
        """Add what was printed next; another ``stream`` begins another line."""
        with self._lock:
            if stream != self._stream and self._pieces and self._pieces[-1][-1:] not in "\r\n":
                self._append("\n")
            self._stream = stream
            self._append(text)

    def lines(self) -> list[str]:
        """Return the last lines, without control characters; secrets are masked."""
        with self._lock:
            text, cut = "".join(self._pieces), self._cut
        if cut:  # the rest of a line could be the rest of a secret
            text = _FIRST_LINE.sub("", text, count=1)
        # Masked as a whole: a secret may have several lines.
        shown = Lines()
        lines = shown.feed(redact(text)) + shown.rest()
        return [shorten(plain(line), _LONGEST) for line in lines[-_MOST_LINES:]]

    def _append(self, text: str) -> None:
        if len(text) > _MOST_KEPT:
            text, self._cut = text[-_MOST_KEPT:], True
        self._pieces.append(text)
        self._size += len(text)
        while self._size - len(self._pieces[0]) >= _MOST_KEPT:
            self._size -= len(self._pieces.popleft())
            self._cut = True
