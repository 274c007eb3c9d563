"""What cells print, on its way to the log and to files."""

from __future__ import annotations

import logging
from typing import IO, TYPE_CHECKING

from stepkit.engine.stream_text import Lines
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)


class Printed:
    """Logs whole lines as they come, if ``log``, and copies streams to files as they are.

    Of an output with several forms the log gets the plain text, and no image ever.
    """

    def __init__(self, *, log: bool, stdout: IO[str] | None, stderr: IO[str] | None) -> None:
        self._log = log
        self._files = {"stdout": stdout, "stderr": stderr}
        self._lines = {"stdout": Lines(), "stderr": Lines()}

    def stream(self, name: str, text: str) -> None:
        """Take what a cell printed to ``stdout`` or ``stderr``.

        Raises :class:`~stepkit.errors.StepError` when its file cannot be written.
        """
        if file := self._files.get(name):
            with atomic_files.explaining(f"cannot write {file.name}"):
                file.write(text)
                file.flush()
        if self._log and name in self._lines:
            self._say(self._lines[name].feed(text))

    def output(self, data: Mapping[str, object]) -> None:
        """Take what a cell showed otherwise."""
        text = data.get("text/plain")
        if self._log and isinstance(text, str):
            shown = Lines()
            self._say(shown.feed(text) + shown.rest())

    def cell_ended(self) -> None:
        """Log the lines that no newline ended."""
        for lines in self._lines.values():
            self._say(lines.rest())

    def _say(self, lines: list[str]) -> None:
        for line in lines:
            logger.info("| %s", line)
