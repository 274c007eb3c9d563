"""Log what cells print, and copy it to files."""

from __future__ import annotations

import logging
from typing import IO, TYPE_CHECKING

from stepkit.engine.carriage_returns import Lines
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepkit.engine.last_printed import LastPrinted

logger = logging.getLogger(__name__)


class CellLog:
    """Logs whole lines as they come, if ``log``, and copies streams to files unchanged.

    The log gets the plain text of other outputs, and no images. ``printed`` gets the same.
    """

    def __init__(
        self,
        *,
        log: bool,
        stdout: IO[str] | None,
        stderr: IO[str] | None,
        printed: LastPrinted | None = None,
    ) -> None:
        self._enabled = log
        self._printed = printed
        self._files = {"stdout": stdout, "stderr": stderr}
        self._lines = {"stdout": Lines(), "stderr": Lines()}

    def stream(self, name: str, text: str) -> None:
        """Log and copy what a cell printed to ``stdout`` or ``stderr``.

        Raises :class:`~stepkit.errors.StepError` when its file cannot be written.
        """
        if file := self._files.get(name):
            with atomic_files.explaining(f"cannot write {file.name}"):
                file.write(text)
                file.flush()
        if self._printed:
            self._printed.add(name, text)
        if self._enabled and name in self._lines:
            self._log_lines(self._lines[name].feed(text))

    def output(self, data: Mapping[str, object]) -> None:
        """Log the plain text of another output."""
        text = data.get("text/plain")
        if self._printed and isinstance(text, str):
            self._printed.add("", f"{text}\n")
        if self._enabled and isinstance(text, str):
            shown = Lines()
            self._log_lines(shown.feed(text) + shown.rest())

    def cell_ended(self) -> None:
        """Log the last lines, which have no newline at their end."""
        for lines in self._lines.values():
            self._log_lines(lines.rest())

    def _log_lines(self, lines: list[str]) -> None:
        for line in lines:
            logger.info("| %s", line)
