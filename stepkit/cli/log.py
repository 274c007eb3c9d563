"""The log on stderr: one line for each event, in the format that its reader needs."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit.redaction import redact
from stepkit.system.logfile import StampedFormatter, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

logger = logging.getLogger(__name__)

FORMATS: Final = ("auto", "plain", "ci", "json")


def configure(chosen: str, secrets: Iterable[str]) -> None:
    """Send the log to stderr as ``plain`` lines, ``json`` lines, or ``ci`` annotations.

    ``auto`` is ``ci`` on GitHub Actions and in a Tekton step, whose viewers both fold and
    colour ``::error::`` lines, and ``plain`` everywhere else.
    """
    if chosen == "auto":
        in_ci = os.environ.get("GITHUB_ACTIONS") == "true" or Path("/tekton/steps").is_dir()
        chosen = "ci" if in_ci else "plain"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(chosen, secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    sys.excepthook = _log_bug


def _log_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log the traceback of a bug line by line: what it quotes may be a secret, or hold controls."""
    import traceback

    *lines, last = "".join(traceback.format_exception(kind, error, trace)).rstrip().split("\n")
    for line in lines:
        logger.info("%s", line)
    logger.error("%s", last)


def final_line(chosen: str, level: int, text: str) -> str:
    """Return a command's last line on stderr: ``text`` itself, or one object for ``json``."""
    if chosen != "json":
        return one_line(text)
    record = logging.LogRecord("stepkit", level, "", 0, text, None, None)
    return _Formatter(chosen, ()).format(record)


class _Formatter(StampedFormatter):
    def __init__(self, chosen: str, secrets: Iterable[str]) -> None:
        super().__init__()
        self.chosen = chosen
        self.secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        text = redact(super().format(record), self.secrets)
        body = redact(record.getMessage(), self.secrets)
        if self.chosen == "json":
            event = {
                "timestamp": self.formatTime(record, self.datefmt),
                "severity": record.levelname,
                "logger": record.name,
                "body": body,
            }
            return json.dumps(event).replace("\x7f", r"\u007f").replace("##[", r"#\u0023[")
        if self.chosen == "ci" and record.levelno >= logging.WARNING:
            kind = "error" if record.levelno >= logging.ERROR else "warning"
            return f"::{kind}::{one_line(body)}"
        return text
