"""Keep the start and the end of what a child process prints, in bounded memory."""

from __future__ import annotations

import threading
from collections import deque


class OutputBuffer:
    """Keep whole lines: the first and the last ``limit`` characters, or all for None.

    One thread may add lines while another reads them. A line longer than ``limit`` is left out,
    because half a line might show half a secret, which would not be recognised and masked.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._room = limit or 0  # characters that the head can still take
        self._held = 0  # characters of the tail
        self._left_out = 0

    def add(self, line: str) -> None:
        """Add a line, with its newline."""
        with self._lock:
            if self._limit is None or (len(line) <= self._room and not self._tail):
                self._head.append(line)
                self._room -= len(line)
                return
            self._tail.append(line)
            self._held += len(line)
            while self._held > self._limit:
                dropped = len(self._tail.popleft())
                self._held -= dropped
                self._left_out += dropped
                self._room = 0  # the head takes no further lines

    def text(self) -> str:
        """Return the kept lines, with a line in the gap that says how much was left out."""
        with self._lock:
            gap = f"[stepkit left out {self._left_out} characters here]\n" if self._left_out else ""
            return "".join([*self._head, gap, *self._tail])
