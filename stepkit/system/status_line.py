"""One line at the bottom of a terminal that says what runs now, below the lines of the log.

The command line makes a :class:`TerminalHandler` the handler of the log where stderr is a terminal
for it; without one, :func:`showing` shows nothing.
"""

from __future__ import annotations

import logging
import os
import threading
import unicodedata
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Final

from stepkit.redaction import redact
from stepkit.system.logfile import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_EVERY_SECONDS: Final = 0.5
_USUAL_COLUMNS: Final = 80
_ERASE: Final = "\r\x1b[K"  # the cursor to the first column, and all that is right of it away


class TerminalHandler(logging.StreamHandler[IO[str]]):
    """Writes the log to a terminal, with the status line below its last line.

    ``secrets`` are masked in the status line; in the log, the formatter does that.
    """

    def __init__(self, stream: IO[str], secrets: Iterable[str]) -> None:
        super().__init__(stream)
        self._secrets = tuple(secrets)
        self._sources: list[Callable[[], str]] = []
        self._drawn = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line of the log in the place of the status line, which moves down."""
        self._erase()
        super().emit(record)
        self._draw()

    @contextmanager
    def showing(self, text: Callable[[], str]) -> Iterator[None]:
        """Show what ``text`` returns, asked about twice a second in another thread."""
        ended = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(ended,), daemon=True)
        with self._alone():
            self._sources.append(text)
        ticker.start()
        try:
            yield
        finally:
            ended.set()
            with self._alone():
                self._sources.remove(text)
                self._erase()
                self._draw()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads from writing, as logging does for each line."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def _tick(self, ended: threading.Event) -> None:
        while not ended.wait(_EVERY_SECONDS):
            with self._alone():
                if not ended.is_set():
                    self._erase()
                    self._draw()

    def _draw(self) -> None:
        with suppress(OSError, ValueError):  # a terminal that has gone
            if self._sources and (text := self._sources[-1]()):
                shown = fitting(one_line(redact(text, self._secrets)), self._columns() - 1)
                self.stream.write(shown)
                self.stream.flush()
                self._drawn = True

    def _erase(self) -> None:
        with suppress(OSError, ValueError):
            if self._drawn:
                self.stream.write(_ERASE)
                self.stream.flush()
                self._drawn = False

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self.stream.fileno()).columns or _USUAL_COLUMNS
        except OSError:
            return _USUAL_COLUMNS


@contextmanager
def showing(text: Callable[[], str]) -> Iterator[None]:
    """Show what ``text`` returns during the block, where the log goes to a terminal.

    ``text`` is called about twice a second, in another thread, and must not raise. Of several
    blocks that run, the one that began last is shown.
    """
    handlers = logging.getLogger().handlers
    handler = next((each for each in handlers if isinstance(each, TerminalHandler)), None)
    if handler is None:
        yield
        return
    with handler.showing(text):
        yield


def fitting(text: str, columns: int) -> str:
    """Return the beginning of ``text`` that is at most ``columns`` wide."""
    width = 0
    for number, character in enumerate(text):
        width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if width > columns:
            return text[:number]
    return text


def folded(text: str, columns: int) -> list[str]:
    """Return ``text`` in lines that are at most ``columns`` wide, broken at blanks if possible."""
    lines = []
    while text:
        line = fitting(text, columns) or text[:1]
        if len(line) < len(text) and not text[len(line)].isspace() and " " in line.strip():
            line = line[: line.rindex(" ")]
        lines.append(line.rstrip())
        text = text[len(line) :].lstrip()
    return lines
