"""Run a command of stepkit as a child process, and relay its log line by line."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from typing import TYPE_CHECKING, Final

from stepkit.system import parent_death, process

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

logger = logging.getLogger(__name__)

_LEVELS: Final = {"WARNING": logging.WARNING, "ERROR": logging.ERROR, "CRITICAL": logging.CRITICAL}
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
    """Run ``stepkit ARGUMENTS`` to its end; each line of its log comes with ``prefix``.

    ``env`` is added to our own environment. When another thread sets ``stop``, the child gets
    SIGTERM and has ``grace`` seconds to save its work; ``kill`` ends it at once. When we die, it
    gets SIGTERM too. Raises :class:`~stepkit.errors.ConfigurationError` when it cannot be started.
    """
    return process.run(
        [sys.executable, "-P", "-m", "stepkit", *arguments, "--log-format=json"],
        env={**os.environ, **env, **parent_death.child_environment()},
        on_line=_relay(prefix),
        stop=stop,
        kill=kill,
        grace=grace,
    )


def _relay(prefix: str) -> Callable[[str], None]:
    def on_line(line: str) -> None:
        level, text = _parsed(line)
        for part in text.splitlines():
            logger.log(level, "%s | %s", prefix, part)

    return on_line


def _parsed(line: str) -> tuple[int, str]:
    """Return level and text of a line; its outputs, which its report holds too, are no news."""
    if not line.startswith("{"):
        return (logging.DEBUG if _RESULT.match(line) else logging.INFO), line
    try:
        record = json.loads(line)
        return _LEVELS.get(record["severity"], logging.INFO), str(record["body"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return logging.INFO, line
