"""Run a program as a child process in its own process group, and end the whole group with it.

Only a SIGKILL of stepkit itself leaves the child running, until it prints into the closed pipe.
A child must ask itself to end with its parent, as stepkit's own commands do
(:mod:`stepkit.system.parent_death`): Python code between fork and exec, which could ask for any
program, may deadlock in a process with threads.
"""

from __future__ import annotations

import logging
import os
import shlex
import signal
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, ToolError
from stepkit.system import os_errors
from stepkit.system.output_buffer import OutputBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from io import BufferedReader
    from pathlib import Path

logger = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.1  # how soon a child ends after another thread set stop
GRACE_SECONDS: Final = 5.0  # between SIGTERM and SIGKILL
KEPT: Final = 2**20  # characters kept of the start of a child's output, and of its end

_sessions: Final[set[int]] = set()  # of the children that run now, in any thread


@dataclass(frozen=True, kw_only=True)
class Completed:
    """How a child ended: ``code`` is negative for a signal, as in :mod:`subprocess`.

    The middle of a long ``output`` is left out, and a line in its place says so.
    """

    code: int
    output: str
    timed_out: bool = False
    seconds: float = 0.0


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    on_line: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
    grace: float = GRACE_SECONDS,
    kill: threading.Event | None = None,
    kill_on_timeout: bool = False,
    pass_fds: Sequence[int] = (),
    keep: int | None = KEPT,
) -> Completed:
    """Run ``command`` to its end and return what it printed, stdout and stderr together.

    Whole lines of its first and its last ``keep`` characters are kept; None keeps all. ``env`` is
    the child's whole environment (default: that of this process). ``on_line`` is called with each
    line as it comes. After ``timeout`` seconds, when another thread sets ``stop``, or when an
    exception such as a signal's passes through, the child's whole process group is ended: SIGTERM,
    and SIGKILL ``grace`` seconds later, or as soon as another thread sets ``kill``. With
    ``kill_on_timeout``, a timeout sends SIGKILL at once. The child inherits the open files
    ``pass_fds``.

    Raises :class:`ConfigurationError` when the program does not exist, or an argument or variable
    cannot be passed to a process.
    """
    logger.debug("running %s", shlex.join(str(part) for part in command))
    started = time.monotonic()
    child = _start(command, cwd, env, pass_fds)
    printed = OutputBuffer(keep)
    reader = threading.Thread(target=_read_output, args=(child, printed, on_line), daemon=True)
    reader.start()
    try:
        timed_out = not _wait(child, timeout, stop)
        if timed_out and kill_on_timeout:
            _signal(child, signal.SIGKILL)
    finally:
        end(child, grace, kill)
        reader.join(GRACE_SECONDS)  # a grandchild may hold the pipe open for ever
    return Completed(
        code=child.returncode,
        output=printed.text(),
        timed_out=timed_out,
        seconds=time.monotonic() - started,
    )


@contextmanager
def streaming(
    command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], timeout: float
) -> Iterator[BufferedReader]:
    """Yield what ``command`` prints, as bytes; its process group ends with the block.

    Raises :class:`ConfigurationError` as :func:`run` does, and :class:`ToolError` at the end of the
    block if the command failed or did not end within ``timeout`` seconds.
    """
    child = _start(command, cwd, env, ())
    limit = threading.Timer(timeout, _signal, (child, signal.SIGKILL))
    limit.start()
    try:
        assert child.stdout is not None
        with child.stdout:
            yield child.stdout.buffer  # type: ignore[attr-defined]
        child.wait()
    finally:
        limit.cancel()
        end(child)
    if child.returncode:
        raise ToolError(f"{command[0]} ended with code {child.returncode}")


def sessions() -> frozenset[int]:
    """Return the session ids of the children that :func:`run` waits for now, in any thread."""
    return frozenset(_sessions)


def end(
    child: subprocess.Popen[str],
    grace: float = GRACE_SECONDS,
    kill: threading.Event | None = None,
) -> None:
    """End the child's process group: SIGTERM, then SIGKILL after ``grace`` seconds or ``kill``."""
    _signal(child, signal.SIGTERM)
    _wait(child, grace, kill)
    _signal(child, signal.SIGKILL)
    child.wait()
    _sessions.discard(child.pid)


def _start(
    command: Sequence[str | Path],
    cwd: Path | None,
    env: Mapping[str, str] | None,
    pass_fds: Sequence[int],
) -> subprocess.Popen[str]:
    try:
        child = subprocess.Popen(  # noqa: S603 - an argument list, never a shell
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            bufsize=1,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        _sessions.add(child.pid)
    except FileNotFoundError as error:
        what = f"no directory {cwd}" if cwd and not cwd.is_dir() else f"no program {command[0]!s}"
        raise ConfigurationError(f"cannot run {_shown(command[0])}: {what}") from error
    except OSError as error:
        raise os_errors.explain(f"cannot run {_shown(command[0])}", error) from error
    except ValueError as error:
        what = _find_invalid(command, cwd, env) or str(error)
        raise ConfigurationError(f"cannot run {_shown(command[0])}: {what}") from error
    return child


def _shown(part: str | Path) -> str:
    text = str(part)
    return text if text.isprintable() else ascii(text)


def _find_invalid(
    command: Sequence[str | Path], cwd: Path | None, env: Mapping[str, str] | None
) -> str:
    """Name what cannot be passed to a process; do not show its text, which may be a secret."""
    places = {f"argument {n}": str(part) for n, part in enumerate(command)}
    places["the working directory"] = str(cwd or "")
    for name, value in (env or {}).items():
        places[f"the variable {_shown(name)}"] = value
        if not name or "=" in name:
            return f"{_shown(name)!r} is not a name for a variable"
        places[f"the name of the variable {_shown(name)}"] = name
    for place, text in places.items():
        if "\0" in text:
            return f"{place} holds a NUL byte"
        try:
            os.fsencode(text)
        except UnicodeEncodeError:
            return f"{place} holds half a character (a lone surrogate)"
    return ""


def _wait(
    child: subprocess.Popen[str], timeout: float | None, stop: threading.Event | None
) -> bool:
    """Wait for the end of the child, or for ``stop``; return False after ``timeout`` seconds."""
    deadline = time.monotonic() + (threading.TIMEOUT_MAX if timeout is None else timeout)
    while (left := deadline - time.monotonic()) > 0:
        with suppress(subprocess.TimeoutExpired):
            child.wait(min(left, _POLL_SECONDS if stop else left))
            return True
        if stop and stop.is_set():
            return True
    return False


def _read_output(
    child: subprocess.Popen[str], printed: OutputBuffer, on_line: Callable[[str], None] | None
) -> None:
    assert child.stdout is not None
    with child.stdout as output:
        for line in output:
            printed.add(line)
            if on_line:
                on_line(line.rstrip("\n"))


def _signal(child: subprocess.Popen[str], signum: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signum)
