"""Run a command of stepkit as a child process, and log each line of its log."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from contextlib import suppress
from functools import partial
from signal import Signals
from typing import TYPE_CHECKING, Final

from stepkit import redaction
from stepkit.errors import ConfigurationError, Reason
from stepkit.system import logfile, parent_death, process

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, MutableMapping, Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

OPTION_PREFIX: Final = "STEPKIT_OPT_"  # of variables with defaults of options, for people
# What a command gets that another one starts: all of its options stand on its command line.
NO_CONFIG: Final = {"STEPKIT_NO_CONFIG": "1"}
_LATER: Final = "STEPKIT_LATER"  # a variable with those that a child sets itself, as JSON
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
    env: Mapping[str, str | None],
    stop: threading.Event | None,
    kill: threading.Event | None,
    grace: float,
    defaults: bool = False,
    later: Mapping[str, str] | None = None,
) -> process.Completed:
    """Run ``stepkit ARGUMENTS`` to its end, and log each line of its log after ``prefix``.

    ``env`` is added to the environment of this process; None leaves a variable out. ``later`` is
    for what the child starts, and not for its own Python: see :func:`set_later`. The child masks
    the secrets that this process masks. When another thread sets ``stop``, the child gets SIGTERM
    and has ``grace`` seconds to save its work; ``kill`` ends it at once. It gets SIGTERM too when
    this process dies. It takes defaults from stepkit.yaml and from variables only with
    ``defaults``, and not if this process may not.

    Raises :class:`~stepkit.errors.ConfigurationError` when the child cannot be started.
    """
    more = ["--log-level=DEBUG"] if logger.isEnabledFor(logging.DEBUG) else []
    ours = {**parent_death.child_environment(), **redaction.child_environment()}
    ours |= {_LATER: json.dumps(dict(later))} if later else {}
    whole = {**os.environ, **env, **ours, **({} if defaults else NO_CONFIG)}
    return process.run(
        [sys.executable, "-P", "-m", "stepkit", *arguments, "--log-format=json", *more],
        env={name: value for name, value in whole.items() if value is not None},
        on_line=partial(_relay, prefix),
        stop=stop,
        kill=kill,
        grace=grace,
    )


def set_later(environment: MutableMapping[str, str]) -> None:
    """Set the variables that the parent gave for what this process starts.

    Whoever chooses the variables of a notebook, such as PYTHONPATH, must not choose the code of the
    process that judges it. Variables of stepkit that are set stay.
    """
    given = environment.pop(_LATER, "{}")
    ours = {name: text for name, text in environment.items() if name.startswith("STEPKIT_")}
    with suppress(ValueError, TypeError):  # somebody else's variable of that name
        environment.update({**json.loads(given), **ours})


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
        logger.log(level, "%s", f"{prefix} | {part}" if prefix else part, extra=extra)


def explain_missing_report(done: process.Completed) -> tuple[Reason, str]:
    """Return why a command left no report, by the last error or the last line that it printed."""
    if done.code < 0:
        return Reason.KILLED, f"its process was killed by {signal_of(done)} before it could report"
    why = ""
    lines = done.output.splitlines()
    if errors := [line for line in lines if "error:" in line] or lines[-1:]:
        try:
            why = f": {json.loads(errors[-1])['body']}"  # --log-format json
        except (ValueError, KeyError, TypeError, RecursionError):
            why = f": {errors[-1]}"
    reason = Reason.BAD_INPUT if done.code == ConfigurationError.exit_code else Reason.TOOL_FAILED
    return reason, f"it ended with {done.code} and left no report{why}"


def signal_of(done: process.Completed) -> str:
    """Name the signal that killed a process."""
    number = -done.code
    return Signals(number).name if number in set(Signals) else f"signal {number}"


def stamp(path: Path) -> tuple[int, int] | None:
    """Return inode and mtime, which change when a file is written; None without a file."""
    try:
        known = path.stat()
    except OSError:
        return None
    return known.st_ino, known.st_mtime_ns
