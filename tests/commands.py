"""Commands that a test runs to their end, and what they mount."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def run(*command: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command, return its exit code and its output as text; ``more`` goes to subprocess."""
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


def python(*args: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run the Python of the tests."""
    return run(sys.executable, *args, **more)


def stepkit(*args: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command of stepkit in a separate process."""
    return python("-P", "-m", "stepkit", *args, **more)


@contextmanager
def mounted(place: Path, *options: str | Path) -> Iterator[None]:
    """Mount something at ``place`` for the block; skip the test where that is not possible."""
    done = run("mount", *options, place)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)
