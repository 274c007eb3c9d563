"""What a terminal can show: colours, a line that is written over, and how wide it is."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import IO, Final

_BOLD: Final = "\x1b[1m"
_RESET: Final = "\x1b[0m"
COLOURS: Final = {"green": "\x1b[32m", "yellow": "\x1b[33m", "red": "\x1b[31m"}


def has_colours(stream: IO[str] | None) -> bool:
    """Return whether to colour what goes to ``stream``.

    NO_COLOR turns colours off, FORCE_COLOR on; without both, a terminal has them.
    """
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or is_terminal(stream)


def is_terminal(stream: IO[str] | None) -> bool:
    """Return whether ``stream`` is a terminal that knows more than lines of text."""
    if stream is None or os.environ.get("TERM", "dumb") == "dumb":
        return False
    try:
        return stream.isatty()
    except ValueError:  # it is closed
        return False


def coloured(text: str, colour: str) -> str:
    """Return ``text`` in bold and in one of :data:`COLOURS`."""
    return f"{_BOLD}{COLOURS[colour]}{text}{_RESET}"


def columns() -> int:
    """Return the width of the terminal on stdout, as shutil does: that module imports slowly."""
    with suppress(KeyError, ValueError):
        if (given := int(os.environ["COLUMNS"])) > 0:
            return given
    with suppress(OSError, ValueError, AttributeError):
        return os.get_terminal_size(sys.__stdout__.fileno()).columns  # type: ignore[union-attr]
    return 80
