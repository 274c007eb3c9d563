"""Join the text that a stream prints as a terminal shows it, in linear time."""

from __future__ import annotations


class Text:
    r"""What a stream printed so far, with its carriage returns resolved.

    A line keeps what follows its last carriage return, so a progress bar is kept in its last state.
    Those at its very end are kept: some programs end their lines with ``\r\n``.
    The cost is linear in the length of the text, whatever the size of its pieces.
    """

    def __init__(self) -> None:
        self._done: list[str] = []  # whole lines
        self._line: list[str] = []  # the parts of the last line
        self._returns = 0  # carriage returns at the end of that line
        self.size = 0  # characters kept, about

    def feed(self, text: str) -> None:
        """Add the text that was printed next."""
        if "\r" not in text and not self._returns:
            self._add_plain(text)
            return
        *lines, rest = text.split("\n")
        for line in lines:
            self._write_over(line)
            self._end_line()
        self._write_over(rest)

    def value(self) -> str:
        """Return the text."""
        text = "".join([*self._done, *self._line])
        head, newline, tail = text.rpartition("\n")
        self._done, self._line = [head + newline], [tail]
        return text + "\r" * self._returns

    def _add_plain(self, text: str) -> None:
        self.size += len(text)
        head, newline, tail = text.rpartition("\n")
        if newline:
            self._done.extend((*self._line, head, newline))
            self._line = []
        if tail:
            self._line.append(tail)

    def _write_over(self, part: str) -> None:
        """Write one part of a line, in which only carriage returns are special."""
        kept = part.rstrip("\r")
        if kept and (self._returns or "\r" in kept):
            self.size -= sum(map(len, self._line)) + self._returns
            self._line = []
            self._returns = 0
        if kept:
            shown = kept.rpartition("\r")[2]
            self._line.append(shown)
            self.size += len(shown)
        self._returns += len(part) - len(kept)
        self.size += len(part) - len(kept)

    def _end_line(self) -> None:
        self._done.extend((*self._line, "\r" * self._returns, "\n"))
        self._line = []
        self._returns = 0
        self.size += 1


class Lines:
    """Splits text into the lines that a log shows, each when it is complete."""

    def __init__(self) -> None:
        self._open = Text()

    def feed(self, text: str) -> list[str]:
        """Return the lines that are complete now, without empty ones."""
        head, newline, tail = text.rpartition("\n")
        if not newline:
            self._open.feed(text)
            return []
        self._open.feed(head)
        lines = self.rest()
        self._open.feed(tail)
        return lines

    def rest(self) -> list[str]:
        """Return the lines since the last newline."""
        text, self._open = self._open.value(), Text()
        lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
        return [line for line in lines if line.strip()]
