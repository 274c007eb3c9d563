"""Child processes that wait for the test."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def child(code: str) -> Iterator[subprocess.Popen[str]]:
    """Run ``code`` in a separate session, as a kernel; wait for "ready", and kill it at the end."""
    command, pipe = [sys.executable, "-c", code], subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True)
    with process:
        try:
            assert read_line(process) == "ready"
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def read_line(process: subprocess.Popen[str]) -> str:
    """Return the next line that the child prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def answer(process: subprocess.Popen[str]) -> str:
    """Let the child go on, and return its next line."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return read_line(process)
