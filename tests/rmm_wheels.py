"""Environments of RMM's and CuPy's real wheels, one for each lock in kernel/gpu_memory/wheels.

`make rmm-wheels` writes the locks. The environments are kept in the user's cache directory, named
by the digest of their lock, and are made once for all runs.
"""

import fcntl
import hashlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

LOCKS = Path(__file__).with_name("kernel") / "gpu_memory/wheels"
ROWS = sorted(lock.stem for lock in LOCKS.glob("*.txt"))


def python_of(row: str) -> str:
    """Return the Python of a row's environment; skip where its wheels cannot be had."""
    lock = LOCKS / f"{row}.txt"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    directory = _cache() / f"{row}-{version}-{digest}"
    directory.mkdir(parents=True, exist_ok=True)
    ready, python = directory / "ready", directory / "venv/bin/python"
    with _only_one(directory):
        if not ready.exists():
            if importlib.util.find_spec("uv") is None:
                pytest.skip("there is no uv to make an environment of RMM's wheels with")
            _uv(row, "venv", "--clear", "--python", sys.executable, str(directory / "venv"))
            options = ["--require-hashes", "--no-build", "--python", str(python)]
            _uv(row, "pip", "sync", *options, str(lock))
            ready.touch()
    return str(python)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "stepkit-tests/rmm-wheels"


@contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """Let only one of several test processes make the environment."""
    with (directory / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _uv(row: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "uv", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.returncode:
        return
    if "hash mismatch" in done.stderr.lower():
        pytest.fail(f"the wheels of {row} are not those of its lock: {done.stderr.strip()}")
    pytest.skip(f"the wheels of {row} cannot be had: {done.stderr.strip()[-300:]}")
