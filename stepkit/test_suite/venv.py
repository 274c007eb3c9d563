"""Virtual environments for tests: make one, install into it, and check what it was made from."""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.system import atomic_files, process, tool_evidence

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

DIGEST_FILE: Final = "stepkit-environment"  # the file that says what the environment was made from
_UNFINISHED: Final = "unfinished"

# Variables that would send packages elsewhere, or name another environment.
_REDIRECTING: Final = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "VIRTUAL_ENV", "CONDA_PREFIX",
                       "CONDA_DEFAULT_ENV", "PIP_TARGET", "PIP_USER", "PIP_PREFIX", "PIP_ROOT",
                       "PIP_PYTHON", "PIP_CONSTRAINT", "UV_PROJECT_ENVIRONMENT", "UV_PROJECT",
                       "UV_SYSTEM_PYTHON", "UV_PYTHON", "UV_FROZEN", "UV_LOCKED")  # fmt: skip

# Poetry gives advice after these.
_ADVISED: Final = ("Unable to find installation candidates", "All attempts to connect")
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


def index_variables() -> list[tuple[str, str]]:
    """Return our variables that say from which indexes installers take packages, and their values.

    A value may have a password in it.
    """
    named = re.compile(r"(?:PIP|UV)_(?:\w*INDEX\w*|FIND_LINKS|CONFIG_FILE)")
    return sorted(item for item in os.environ.items() if named.fullmatch(item[0]))


def is_made_from(environment: Path, digest: str) -> bool:
    """Return whether ``environment`` is complete and was made from ``digest``."""
    try:
        made_from = (environment / DIGEST_FILE).read_text()
    except OSError:
        return False
    return made_from == digest and os.access(python_in(environment), os.X_OK)


def make(environment: Path, *, with_pip: bool, timeout: float) -> None:
    """Make an empty environment; one that stepkit made earlier is replaced.

    Raises :class:`ConfigurationError` when the path holds anything else.
    """
    if environment.is_symlink() or (environment.exists() and not environment.is_dir()):
        raise ConfigurationError(f"{environment} is not a directory: name another --environment")
    with atomic_files.explaining(f"cannot make the environment {environment}"):
        environment.mkdir(parents=True, exist_ok=True)
        if any(environment.iterdir()) and not (environment / DIGEST_FILE).is_file():
            raise ConfigurationError(
                f"{environment} holds something that stepkit did not make: "
                "not replacing it; name another --environment"
            )
        (environment / DIGEST_FILE).write_text(_UNFINISHED)
        for entry in [entry for entry in environment.iterdir() if entry.name != DIGEST_FILE]:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    options = [] if with_pip else ["--without-pip"]
    command = [sys.executable, "-P", "-m", "venv", *options, str(environment)]
    run_installer(command, "making the environment", timeout=timeout)


def finish(environment: Path, digest: str) -> None:
    """Record that the environment is complete, and the digest of what it was made from."""
    atomic_files.write_atomically(environment / DIGEST_FILE, digest)


def run_installer(
    command: Sequence[str | Path],
    what: str,
    *,
    timeout: float,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> str:
    """Run an installer's command, called ``what`` in errors, and return what it printed.

    What it prints is logged at DEBUG, and after a failure its last lines again, which are the
    evidence of the error. Raises :class:`ToolError` for what may work the next time (the network,
    a full disk, the limit of ``timeout`` seconds), and :class:`ConfigurationError` for other
    failures.
    """
    done = process.run(
        command,
        cwd=cwd,
        env=variables() if env is None else env,
        timeout=timeout,
        on_line=lambda line: logger.debug("install: %s", line),
    )
    if not done.timed_out and not done.code:
        return done.output
    error = _error(done, what, timeout)
    error.evidence = tool_evidence.of_output(done.output, message=str(error))
    for line in error.evidence.output if error.evidence else ():
        logger.info("install: %s", line)
    raise error


def _error(done: process.Completed, what: str, timeout: float) -> StepError:
    if done.timed_out:
        return ToolError(f"{what} took over {timeout:.0f} s", reason=Reason.TIMEOUT)
    message = f"{what} failed: {find_error(done.output)}"
    if _DISK.search(done.output):
        return ToolError(f"{message}: free some space and run again", reason=Reason.DISK_FULL)
    if _HASH.search(done.output):
        return ConfigurationError(
            f"{message}: a package is not the one that was locked; lock again if that is meant",
            reason=Reason.CHECKSUM,
        )
    if _NETWORK.search(done.output):
        return ToolError(message, reason=Reason.NETWORK)
    return ConfigurationError(message)


def find_error(output: str) -> str:
    """Return the line of an installer's output that says what is wrong."""
    lines = [line.strip(" |") for line in output.splitlines() if line.strip(" |")]
    for line in lines:
        if line.startswith(_ADVISED):
            return line
    errors = [
        number
        for number, line in enumerate(lines)
        if re.match(r"(?:error|fatal)\b|.*\bError\b", line, re.IGNORECASE)
    ]
    if not errors:
        return (lines or ["it printed nothing"])[-1]
    last = errors[-1]
    count = 2 if lines[last].endswith(":") else 1  # uv puts a long path on the next line
    return " ".join(lines[last : last + count])
