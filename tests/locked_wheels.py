"""Environments of the wheels that a lock names, with hashes.

They are kept in the user's cache directory, named by the digest of their lock, and are made once
for all runs.
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


def environment(lock: Path) -> Path:
    """Return the virtual environment of a lock; skip where its wheels cannot be had."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    directory = _cache() / f"{lock.stem}-{version}-{digest}"
    directory.mkdir(parents=True, exist_ok=True)
    ready, venv = directory / "ready", directory / "venv"
    with _only_one(directory):
        if not ready.exists():
            if importlib.util.find_spec("uv") is None:
                pytest.skip(f"there is no uv to install the wheels of {lock.stem} with")
            _uv(lock.stem, "venv", "--clear", "--python", sys.executable, str(venv))
            options = ["--require-hashes", "--no-build", "--python", str(venv / "bin/python")]
            _uv(lock.stem, "pip", "sync", *options, str(lock))
            ready.touch()
    return venv


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "stepkit-tests/wheels"


@contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """Let only one of several test processes make the environment."""
    with (directory / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _uv(name: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "uv", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.returncode:
        return
    if "hash mismatch" in done.stderr.lower():
        pytest.fail(f"the wheels of {name} are not those of its lock: {done.stderr.strip()}")
    pytest.skip(f"the wheels of {name} cannot be had: {done.stderr.strip()[-300:]}")
