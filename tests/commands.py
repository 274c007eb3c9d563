"""Commands that a test runs to their end."""

import subprocess
import sys
from pathlib import Path
from typing import Any


def run(*command: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command, return its exit code and its output as text; ``more`` goes to subprocess."""
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


def python(*args: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run the Python of the tests."""
    return run(sys.executable, *args, **more)


def stepkit(*args: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command of stepkit in a separate process."""
    return python("-P", "-m", "stepkit", *args, **more)
