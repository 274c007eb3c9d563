"""Show the states of a run as they come: a page that is drawn again, lines, or JSON."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING, Final, Protocol

from stepkit.cli import standard_output, terminal
from stepkit.errors import Cancelled
from stepkit.report.terminal.paint import Paint
from stepkit.report.terminal.progress_page import progress_lines, progress_page
from stepkit.system import logfile

if TYPE_CHECKING:
    from stepkit.notebook.progress_json import ProgressJson

_ERASE: Final = "\r\x1b[{}A\x1b[J"  # the cursor up, and all below it away
_LEAST_COLUMNS: Final = 40


class Screen(Protocol):
    """Shows states on stdout."""

    def show(self, now: ProgressJson, note: str) -> None:
        """Show the state that was read now, and what is to be said of it."""

    def leave(self) -> None:
        """Leave what is shown as it is, because nobody watches any more."""

    def last(self, now: ProgressJson) -> str:
        """Return what stays on stdout after the end, instead of what was shown last."""


def screen(*, json_lines: bool) -> Screen:
    """Return how to show states where stdout goes; nothing if it is for the report."""
    if standard_output.is_reserved() or sys.stdout is None:
        return _Nothing()
    if json_lines:
        return _JsonLines()
    return _Page() if terminal.is_terminal(sys.stdout) else _Lines()


class _Nothing:
    def show(self, now: ProgressJson, note: str) -> None:
        pass

    def leave(self) -> None:
        pass

    def last(self, now: ProgressJson) -> str:  # noqa: ARG002
        return ""


class _JsonLines(_Nothing):
    """Each state that differs from the one before, as a line of JSON."""

    def __init__(self) -> None:
        self._written = ""

    def show(self, now: ProgressJson, note: str) -> None:  # noqa: ARG002
        if now["written"] != self._written:
            _write(f"{standard_output.as_json(now, indent=None)}\n")
        self._written = now["written"]


class _Lines(_Nothing):
    """A line for each change."""

    def __init__(self) -> None:
        self._before: ProgressJson | None = None

    def show(self, now: ProgressJson, note: str) -> None:  # noqa: ARG002 - the error says it
        for line in progress_lines(self._before, now):
            _write(f"{logfile.whole_line(line)}\n")
        self._before = now


class _Page(_Nothing):
    """A page of the terminal, drawn where the one before was."""

    def __init__(self) -> None:
        self._drawn = 0  # lines

    def show(self, now: ProgressJson, note: str) -> None:
        page = self._text(now, note)
        self._erase()
        _write(f"{page}\n")
        self._drawn = page.count("\n") + 1

    def leave(self) -> None:
        _write("\n")  # the terminal shows ^C where the cursor is

    def last(self, now: ProgressJson) -> str:
        self._erase()
        return self._text(now, "")

    def _text(self, now: ProgressJson, note: str) -> str:
        size = shutil.get_terminal_size()
        paint = Paint(
            width=max(size.columns, _LEAST_COLUMNS) - 1,
            colour=terminal.has_colours(sys.stdout),
            unicode=sys.stdout.encoding.lower().startswith("utf"),
        )
        page = progress_page(now, paint, rows=size.lines - 1, note=note)
        return "\n".join(map(logfile.whole_line, page.split("\n")))

    def _erase(self) -> None:
        if self._drawn:
            _write(_ERASE.format(self._drawn))
            self._drawn = 0


def _write(text: str) -> None:
    """Write to stdout at once. Raises :class:`Cancelled` if its reader is gone."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for Python's own exit
        raise Cancelled(signal.SIGPIPE) from None
