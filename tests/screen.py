"""A terminal for a command, and what a reader sees on it."""

import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from fcntl import ioctl
from pathlib import Path

_PARTS = re.compile(r"(\r|\n|\x1b\[K|\x1b\[[0-9;]*m)")


def run(
    command: Sequence[str | Path], *, columns: int = 80, env: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Run ``command`` with stderr on a terminal; return its exit code, stderr and stdout."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm", **(env or {})}
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, env=environment
    )
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    stdout = child.communicate()[0].decode()
    return child.returncode, written.decode(), stdout


def rows(written: str) -> list[list[str]]:
    """Return what each row of the screen showed, one after the other, colours left out."""
    found: list[list[str]] = []
    row: list[str] = [""]
    for part in _PARTS.split(written):
        if part == "\n":
            found.append(row)
            row = [""]
        elif part == "\x1b[K":
            row.append("")
        elif part and part != "\r" and not part.startswith("\x1b"):
            row[-1] += part
    return [*found, row] if row != [""] else found
