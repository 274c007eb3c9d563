"""Run a command of stepkit as a child process, and log each line of its log."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from stepkit import redaction
from stepkit.system import logfile, parent_death, process

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence

logger = logging.getLogger(__name__)

_LEVELS: Final = {
    "DEBUG": logging.DEBUG,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "CRITICAL": logging.CRITICAL,
}
_LAST_LINE: Final = "stepkit"  # the logger of a command's verdict, which its parent reports itself
_RESULT: Final = re.compile(r"[a-z][a-z0-9-]*=")  # how stepkit prints an output on stdout


def run(
    arguments: Sequence[str],
    *,
    prefix: str,
    env: Mapping[str, str],
    stop: threading.Event,
    kill: threading.Event,
    grace: float,
) -> process.Completed:
    """Run ``stepkit ARGUMENTS`` to its end, and log each line of its log after ``prefix``.

    ``env`` is added to the environment of this process. The child masks the secrets that this
    process masks. When another thread sets ``stop``, the
    child gets SIGTERM and has ``grace`` seconds to save its work; ``kill`` ends it at once. It
    gets SIGTERM too when this process dies.

    Raises :class:`~stepkit.errors.ConfigurationError` when the child cannot be started.
    """
    more = ["-v"] if logger.isEnabledFor(logging.DEBUG) else []
    return process.run(
        [sys.executable, "-P", "-m", "stepkit", *arguments, "--log-format=json", *more],
        env={
            **os.environ,
            **env,
            **parent_death.child_environment(),
            **redaction.child_environment(),
        },
        on_line=partial(_relay, prefix),
        stop=stop,
        kill=kill,
        grace=grace,
    )


def _relay(prefix: str, line: str) -> None:
    """Log a line of the child at its level; outputs, which are in its report too, at DEBUG."""
    level, text, extra = logging.INFO, line, None
    if line.startswith("{"):
        with suppress(ValueError, KeyError, TypeError, RecursionError):
            record = json.loads(line)
            level, text = _LEVELS.get(record["severity"], logging.INFO), str(record["body"])
            block = "inside" if record["logger"] == _LAST_LINE else record.get("block")
            extra = {"block": block} if block in logfile.BLOCK else None
    elif _RESULT.match(line):
        level = logging.DEBUG
    for part in text.splitlines():
        logger.log(level, "%s | %s", prefix, part, extra=extra)
