"""Write what a step logs to a file, too, each event as one line."""

from __future__ import annotations

import logging
import re
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from stepkit.redaction import redact
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

_COLOUR: Final = re.compile(r"\x1b\[[0-9;:]*m")
_PARTS: Final = re.compile(r"(\x1b\[[0-9;:]*m)")  # colours, and what is between them
_COMMAND: Final = re.compile(r"^(\s*):(?=:)")
# Control characters but the tab, what else ends a line, and what reverses the text after it.
_CONTROL: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def one_line(text: str) -> str:
    r"""Return ``text`` as one line that no terminal and no CI service takes for a command.

    Control characters are escaped, as in ``\n`` and ``\x1b``, and colours are left out. GitHub
    reads a command wherever a line has ``##[``. Only the caller knows what the line begins with:
    see :func:`whole_line`.
    """
    return _escaped(_COLOUR.sub("", text))


def whole_line(text: str) -> str:
    r"""Return ``text`` as :func:`one_line` does, with its colours, for a line of its own.

    What begins with ``::``, which is a command for GitHub and Tekton, begins with ``\x3a``.
    """
    shown = "".join(
        part if _COLOUR.fullmatch(part) else _escaped(part) for part in _PARTS.split(text)
    )
    return _COMMAND.sub(r"\1\\x3a", shown)


def _escaped(text: str) -> str:
    plain = _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
    return plain.replace("##[", r"#\x23[")


# Parts of what belongs together in the log, as the attribute `block` of a record.
BLOCK: Final = ("begin", "inside", "end")


def log_block(logger: logging.Logger, level: int, title: str, lines: Sequence[str]) -> None:
    """Log ``title`` and ``lines``, which belong together, each as one event of ``level``.

    GitHub folds the lines below the title, and none of them becomes an annotation.
    """
    last = len(lines) - 1
    logger.log(level, "%s", title, extra={"block": "begin" if lines else "inside"})
    for number, line in enumerate(lines):
        block = "end" if number == last else "inside"
        logger.log(level, "%s", line, extra={"block": block})


class StampedFormatter(logging.Formatter):
    """One line for each event, without control characters: time in UTC, level, message."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; secrets that are registered, and those of URLs, are masked."""
        return one_line(redact(super().format(record)))


class _File(logging.FileHandler):
    """A log file that warns once when it cannot be written, and never fails the step."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, mode="w", encoding="utf-8", errors="backslashreplace")
        self._failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Warn of an error of the disk; logging shows any other, which is a bug."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            self._note(error)
        else:
            super().handleError(record)

    def close(self) -> None:
        """Close the file; warn if the disk does not take the last lines."""
        try:
            super().close()
        except OSError as error:
            self._note(error)

    def _note(self, error: OSError) -> None:
        if self._failed:
            return
        self._failed = True  # before the warning, which is logged to this file, too
        why = error.strerror or error
        logger.warning("the log %s is incomplete: %s; the work goes on", self.baseFilename, why)


@contextmanager
def recording(path: Path) -> Iterator[logging.Handler]:
    """Write everything that is logged during the block to ``path``, a line for each event.

    Yields the handler, for loggers that do not propagate. When the disk is full later, lines of
    the log are lost with a warning, and the step goes on.

    Raises :class:`~stepkit.errors.ConfigurationError` when the file cannot be written.
    """
    with atomic_files.explaining(f"cannot write the log {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_files.remove_link(path)
        handler = _File(path)
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


@contextmanager
def only_to(handler: logging.Handler, logger: logging.Logger) -> Iterator[None]:
    """Send what ``logger`` logs during the block to ``handler`` alone."""
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.propagate = True
        logger.removeHandler(handler)
