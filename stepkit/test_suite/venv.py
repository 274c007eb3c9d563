"""Virtual environments for tests: make one, fill it, and know whether it still fits."""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.system import atomic_files, process

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

MARK: Final = "stepkit-environment"  # the file that says what the environment was made from
_UNFINISHED: Final = "unfinished"

# Variables that would send packages elsewhere, or name another environment.
_REDIRECTING: Final = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "VIRTUAL_ENV", "CONDA_PREFIX",
                       "CONDA_DEFAULT_ENV", "PIP_TARGET", "PIP_USER", "PIP_PREFIX", "PIP_ROOT",
                       "PIP_PYTHON", "PIP_CONSTRAINT", "UV_PROJECT_ENVIRONMENT", "UV_PROJECT",
                       "UV_SYSTEM_PYTHON", "UV_PYTHON", "UV_FROZEN", "UV_LOCKED")  # fmt: skip

_DISK: Final = re.compile(r"No space left on device|Disk quota exceeded")
_HASH: Final = re.compile(
    r"DO NOT MATCH THE HASHES|Hash mismatch|Invalid hashes|not found in known hashes"
    r"|Hash for .* not found"
)
_NETWORK: Final = re.compile(
    r"NewConnectionError|ConnectTimeout|ReadTimeout|HTTPSConnectionPool|HTTPConnectionPool"
    r"|Temporary failure in name resolution|Name or service not known|Connection (?:refused|reset)"
    r"|Connection aborted|Read timed out|ProxyError|All attempts to connect|ConnectionError"
    r"|error sending request|[Cc]ould not connect|dns error|[Oo]peration timed out"
    r"|IncompleteRead|ProtocolError|error decoding response body"
    r"|\b(?:429|5\d\d) (?:Server Error|Client Error|Too Many)|server error \(5\d\d|\(429 ",
)


def python_in(environment: Path) -> Path:
    """Return the interpreter of an environment."""
    return environment / "bin" / "python"


def variables() -> dict[str, str]:
    """Return our variables without those that redirect an installer."""
    return {name: value for name, value in os.environ.items() if name not in _REDIRECTING}


def is_made_from(environment: Path, digest: str) -> bool:
    """Tell whether a whole environment of ours is there, made from ``digest``."""
    try:
        made_from = (environment / MARK).read_text()
    except OSError:
        return False
    return made_from == digest and os.access(python_in(environment), os.X_OK)


def make(environment: Path, *, with_pip: bool, timeout: float) -> None:
    """Make an empty environment, in the place of an earlier one of ours.

    Raises :class:`ConfigurationError` when something else stands there.
    """
    if environment.is_symlink() or (environment.exists() and not environment.is_dir()):
        raise ConfigurationError(f"{environment} is no directory: name another --environment")
    with atomic_files.explaining(f"cannot make the environment {environment}"):
        environment.mkdir(parents=True, exist_ok=True)
        if any(environment.iterdir()) and not (environment / MARK).is_file():
            raise ConfigurationError(
                f"{environment} holds something that stepkit did not make: "
                "not replacing it; name another --environment"
            )
        (environment / MARK).write_text(_UNFINISHED)
        for entry in [entry for entry in environment.iterdir() if entry.name != MARK]:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    options = [] if with_pip else ["--without-pip"]
    command = [sys.executable, "-P", "-m", "venv", *options, str(environment)]
    fill(command, "making the environment", timeout=timeout)


def finish(environment: Path, digest: str) -> None:
    """Note that the environment is whole."""
    atomic_files.write_atomically(environment / MARK, digest)


def fill(
    command: Sequence[str | Path],
    what: str,
    *,
    timeout: float,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> str:
    """Run one command of an installer, and return what it printed.

    Raises :class:`ToolError` for what may work the next time (the network, a full disk, the
    limit of ``timeout`` seconds), :class:`ConfigurationError` for the rest.
    """
    done = process.run(
        command,
        cwd=cwd,
        env=variables() if env is None else env,
        timeout=timeout,
        on_line=lambda line: logger.info("install: %s", line),
    )
    if done.timed_out:
        raise ToolError(f"{what} took over {timeout:.0f} s", reason=Reason.TIMEOUT)
    if done.code:
        raise _translated(what, done.output)
    return done.output


def _translated(what: str, output: str) -> StepError:
    message = f"{what} failed: {said(output)}"
    if _DISK.search(output):
        return ToolError(f"{message}: free some space and run again", reason=Reason.DISK_FULL)
    if _HASH.search(output):
        return ConfigurationError(
            f"{message}: a package is not the one that was locked; lock again if that is meant",
            reason=Reason.CHECKSUM,
        )
    if _NETWORK.search(output):
        return ToolError(message, reason=Reason.NETWORK)
    return ConfigurationError(message)


def said(output: str) -> str:
    """Return the line that an installer printed about what is wrong."""
    lines = [line.strip(" |") for line in output.splitlines() if line.strip(" |")]
    for line in lines:
        if line.startswith("Unable to find installation candidates"):  # poetry advises after it
            return line
    told = [
        number
        for number, line in enumerate(lines)
        if re.match(r"(?:error|fatal)\b|.*\bError\b", line, re.IGNORECASE)
    ]
    if not told:
        return (lines or ["it printed nothing"])[-1]
    last = lines[told[-1]]
    rest = lines[told[-1] + 1 : told[-1] + 2] if last.endswith(":") else []  # uv wraps a long path
    return " ".join([last, *rest])
