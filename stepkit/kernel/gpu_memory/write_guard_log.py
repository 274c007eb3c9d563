"""Write the guard's log as JSON lines, which outlive the process.

stepkit.gpu.memory.read_guard_log reads it outside of the kernel.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

_LONGEST = 2000  # characters of an error: RMM's may quote a log


class GuardLogWriter:
    """Appends to a file, as several processes may; an empty path writes nothing."""

    def __init__(self, path: str) -> None:
        self._path = path

    def write(self, event: str, **fields: Any) -> None:
        """Append one event; a log that cannot be written must not stop the notebook."""
        if not self._path:
            return
        line = {"event": event, "pid": os.getpid(), "time": round(time.time(), 3), **fields}
        data = json.dumps(line, default=repr).encode() + b"\n"
        try:
            # One write to a file opened for appending is never torn by another process's.
            # If a named pipe without a reader has taken its place, opening it must not block.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
            file = os.open(self._path, flags, 0o644)
            try:
                os.write(file, data)
            finally:
                os.close(file)
        except OSError:
            pass

    def write_error(self, where: str, error: BaseException) -> None:
        """Append an error of the guard itself."""
        self.write("warning", text=f"the guard failed in {where}: {spell_error(error)}")


def spell_error(error: BaseException) -> str:
    """Return an error's class and text on one line."""
    text = " ".join(str(error).split())[:_LONGEST]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
