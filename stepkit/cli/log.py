"""The log on stderr: one line for each event, in the format that its reader needs."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepkit.cli import ci_annotations, terminal
from stepkit.redaction import redact
from stepkit.system import checkout_paths
from stepkit.system.logfile import StampedFormatter, one_line
from stepkit.system.status_line import TerminalHandler

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from stepkit.errors import Place

logger = logging.getLogger(__name__)

FORMATS: Final = ("auto", "plain", "ci", "json")
FORMAT_VARIABLE: Final = "STEPKIT_LOG_FORMAT"  # what auto means, for the children of a command
_GITHUB: Final = "github"


def configure(
    chosen: str, secrets: Iterable[str], *, quiet: bool = False, verbose: bool = False
) -> None:
    """Send the log to stderr as ``plain`` lines, ``json`` lines, or ``ci`` annotations.

    ``auto`` is what the environment variable STEPKIT_LOG_FORMAT says, else ``ci`` on GitHub Actions
    and in a Tekton step, and ``plain`` everywhere else. A ``quiet`` log has warnings and errors, a
    ``verbose`` one also what stepkit notes for the search of a fault. Plain lines on a terminal
    have the status line below them, unless ``quiet``.
    """
    how = resolve(chosen)
    hidden = tuple(secrets)
    handler: logging.StreamHandler[Any] = logging.StreamHandler(sys.stderr)
    if how == "plain" and not quiet and terminal.is_terminal(sys.stderr):
        handler = TerminalHandler(sys.stderr, hidden)
    handler.setFormatter(_Formatter(how, hidden))
    handler.setLevel(logging.WARNING if quiet else logging.NOTSET)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("stepkit").setLevel(logging.DEBUG if verbose else logging.NOTSET)
    logging.captureWarnings(capture=True)  # their text may be that of a notebook
    sys.excepthook = _log_bug
    if threading.excepthook is threading.__excepthook__:  # else someone else reports them
        threading.excepthook = _log_bug_of_thread
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _log_ignored


def resolve(chosen: str) -> str:
    """Return plain, json, github, or ci, which is what Tekton reads."""
    on_github = os.environ.get("GITHUB_ACTIONS") == "true"
    if chosen == "auto":
        chosen = os.environ.get(FORMAT_VARIABLE, "")
    if chosen not in FORMATS[1:]:
        chosen = "ci" if on_github or Path("/tekton/steps").is_dir() else "plain"
    return _GITHUB if chosen == "ci" and on_github else chosen


def _log_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log the traceback of a bug line by line: what it quotes may be a secret, or hold controls."""
    import traceback

    *lines, last = "".join(traceback.format_exception(kind, error, trace)).rstrip().split("\n")
    for line in lines:
        logger.error("%s", line, extra={"block": "inside"})
    logger.error("%s", last)


def _log_bug_of_thread(lost: threading.ExceptHookArgs) -> None:
    if lost.exc_value and not isinstance(lost.exc_value, SystemExit):
        _log_bug(lost.exc_type, lost.exc_value, lost.exc_traceback)


def _log_ignored(lost: sys.UnraisableHookArgs) -> None:
    """Log what Python itself ignores, such as an exception in a destructor."""
    what = f"{lost.err_msg or 'Exception ignored in'}: {lost.object!r}"
    logger.warning("%s: %s: %s", what, lost.exc_type.__name__, lost.exc_value)


def final_line(how: str, level: int, plain: str, text: str, place: Place) -> str:
    """Return a command's last line on stderr, in a format that :func:`resolve` returned.

    It is ``plain``, in colours where stderr has them; for ``ci`` and above the level INFO it is an
    annotation with ``text`` at ``place``.
    """
    if how == "json":
        record = logging.LogRecord("stepkit", level, "", 0, plain, None, None)
        return _Formatter(how, ()).format(record)
    if how == "plain" and terminal.has_colours(sys.stderr):
        colour = {logging.ERROR: "red", logging.WARNING: "yellow"}.get(level, "green")
        return terminal.coloured(one_line(plain), colour)
    if how == "plain" or level < logging.WARNING:
        return one_line(plain)
    return _annotation(how, level, text, place)


def shown_place(place: Place, secrets: Iterable[str]) -> Place:
    """Return ``place`` with the path that its file has in its repository, and without secrets."""
    secrets = tuple(secrets)
    file = redact(checkout_paths.in_repository(place.file), secrets)
    return replace(place, title=redact(place.title, secrets), file=file)


def _annotation(how: str, level: int, text: str, place: Place | None = None) -> str:
    kind: ci_annotations.Kind = "error" if level >= logging.ERROR else "warning"
    spell = ci_annotations.on_github if how == _GITHUB else ci_annotations.in_tekton
    return spell(kind, text, place)


class _Formatter(StampedFormatter):
    def __init__(self, how: str, secrets: Iterable[str]) -> None:
        super().__init__()
        self.how = how
        self.secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        text = redact(super().format(record), self.secrets)
        body = redact(record.getMessage(), self.secrets)
        block = getattr(record, "block", "")
        if self.how == "json":
            event: dict[str, Any] = {
                "timestamp": self.formatTime(record, self.datefmt),
                "severity": record.levelname,
                "logger": record.name,
                "body": body,
            }
            if block:
                event["block"] = block
            return json.dumps(event).replace("\x7f", r"\u007f").replace("##[", r"#\u0023[")
        if block and self.how == _GITHUB:
            if block == "begin":
                return ci_annotations.group(body.strip("- "))  # a headline has a rule
            return f"{text}\n{ci_annotations.END_GROUP}" if block == "end" else text
        if not block and self.how in {"ci", _GITHUB} and record.levelno >= logging.WARNING:
            place = getattr(record, "place", None) if self.how == _GITHUB else None
            shown = shown_place(place, self.secrets) if place else None
            return _annotation(self.how, record.levelno, body, shown)
        return text
