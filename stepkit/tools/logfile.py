"""A log file of one step's work, written by us and not by a shell's pipe."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from stepkit.tools import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class StampedFormatter(logging.Formatter):
    """A line for each event: time in UTC, level, message."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def recording(path: Path) -> Iterator[logging.Handler]:
    """Write everything that is logged during the block to ``path``, a line for each event.

    Yields the handler that does it, for loggers that do not reach the screen.

    Raises :class:`~stepkit.errors.ConfigurationError` when the file cannot be written.
    """
    with files.explaining(f"cannot write the log {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, mode="w", encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(StampedFormatter())
    root = logging.getLogger()
    level = root.level
    root.setLevel(min(level, logging.INFO))
    root.addHandler(handler)
    try:
        yield handler
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()


def on_terminal() -> bool:
    """Tell whether a person sees what is logged, as it comes."""
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def only_to(handler: logging.Handler, logger: logging.Logger) -> Iterator[None]:
    """Send what ``logger`` says to ``handler`` alone, for the block."""
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.propagate = True
        logger.removeHandler(handler)
