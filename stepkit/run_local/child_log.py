"""Log what the steps of a TaskRun print, without what the end of the task says again."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit.formats.plain_text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)

_STAMP: Final = re.compile(r"\S+Z (DEBUG|INFO|WARNING|ERROR) (?=.)")  # as stepkit.cli.log writes it
# What a stepkit command prints without a stamp: its outputs, and its last line.
_REPEATED: Final = re.compile(r"[a-z][a-z0-9-]*=|stepkit [a-z-]+: ")


class ChildLog:
    """Logs the lines of one step, after the label of its TaskRun.

    ``alone`` says that the step is the only one of its Task. Then the outputs and the last line of
    a stepkit command are logged at DEBUG: how the task ended is logged with the same words.
    """

    def __init__(
        self, label: str, argv: Sequence[str], *, alone: bool, redact: Callable[[str], str]
    ) -> None:
        self.label = label
        self.redact = redact
        self.command = _stepkit_command(argv) if alone else ""

    def log(self, line: str) -> None:
        """Log a line; one with stepkit's time stamp keeps its level."""
        stamp = _STAMP.match(line)
        level = logging.getLevelNamesMapping()[stamp[1]] if stamp else logging.INFO
        text = line[stamp.end() :] if stamp else line
        if self.command and level == logging.INFO:
            begins = text == f"{self.command}: started"
            level = (
                logging.DEBUG if begins or (not stamp and _REPEATED.match(plain(text))) else level
            )
        shown = self.redact(text)
        if shown.strip():  # only the end of the task is an error that a CI service points out
            extra = {"block": "inside"} if level == logging.ERROR else None
            logger.log(level, "[%s] %s", self.label, shown, extra=extra)


def ask_for_all(argv: Sequence[str]) -> list[str]:
    """Return the command line, of a stepkit command with DEBUG where run-local itself logs that."""
    amounts = {"--quiet", "-q", "--verbose", "-v", "--log-level"}
    chosen = amounts & {part.partition("=")[0] for part in argv}
    if chosen or not _stepkit_command(argv) or not logger.isEnabledFor(logging.DEBUG):
        return list(argv)
    return [*argv, "--log-level=DEBUG"]


def _stepkit_command(argv: Sequence[str]) -> str:
    """Return the name of the stepkit command that ``argv`` runs, ``""`` for another program."""
    if Path(argv[0]).name == "stepkit" and len(argv) > 1:
        return argv[1]
    modules = [place for place, part in enumerate(argv[:-2]) if part == "-m"]
    found = (argv[place + 2] for place in modules[:1] if argv[place + 1] == "stepkit")
    return next(found, "")
