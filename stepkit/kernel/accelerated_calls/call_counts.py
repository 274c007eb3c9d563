"""Add up the calls of one cell, and write them as a line of JSON when it has ended."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from typing import Any

_LONGEST = 200  # characters of what is said of a function
_MOST = 500  # functions that a cell is reported with: pandas has no more
_MEMORY = ("out_of_memory", "out of memory", "bad_alloc", "cudaErrorMemoryAllocation")


class CallCounts:
    """The calls since the last cell ended; any thread may add to them."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._calls, self._seconds = 0, 0.0
        self._functions: dict[str, list[Any]] = {}  # calls, seconds, for want of memory, why

    def on_gpu(self, seconds: float, *, calls: int = 1) -> None:
        """Add calls that ran on the GPU, and took ``seconds`` together."""
        with self._lock:
            self._seconds += seconds
            self._calls += calls

    def on_cpu(self, name: str, seconds: float, why: str, *, memory: int, calls: int = 1) -> None:
        """Add calls of the function ``name`` that ran on the CPU, and took ``seconds`` together.

        ``why`` is what the GPU's half said; ``memory`` counts the calls for which its memory did
        not suffice.
        """
        with self._lock:
            self._seconds += seconds
            self._calls += calls
            found = self._functions.setdefault(name, [0, 0.0, 0, ""])
            found[0] += calls
            found[1] += seconds
            found[2] += memory
            found[3] = found[3] or why

    def cell_ended(self, index: int) -> None:
        """Append what was counted since the last call, if anything was, and begin anew."""
        with self._lock:
            calls, seconds, functions = self._calls, self._seconds, self._functions
            self._reset()
        if not calls:
            return
        slowest = sorted(functions.items(), key=lambda item: -item[1][1])
        self._append(
            cell=index,
            calls=calls,
            cpu_calls=sum(found[0] for found in functions.values()),
            out_of_memory=sum(found[2] for found in functions.values()),
            seconds=round(seconds, 6),
            cpu_seconds=round(sum(found[1] for found in functions.values()), 6),
            functions=[
                {"name": name, "calls": found[0], "seconds": round(found[1], 6), "why": found[3]}
                for name, found in slowest[:_MOST]
            ],
        )

    def failed(self, where: str, error: BaseException) -> None:
        """Append why calls are not counted."""
        self._append(warning=f"{where}: {describe(error)}")

    def _append(self, **line: Any) -> None:
        """Append a line; a file that cannot be written must not stop the notebook."""
        with suppress(OSError), open(self._path, "a") as file:  # noqa: PTH123
            file.write(json.dumps(line) + "\n")


def describe(error: BaseException) -> str:
    """Return an error's class and text on one line, ``""`` for one that says nothing."""
    text = " ".join(str(error).split())[:_LONGEST]
    return f"{type(error).__name__}: {text}" if text else ""


def lacks_memory(error: BaseException | None, why: str) -> bool:
    """Return whether the memory of the GPU did not suffice."""
    return isinstance(error, MemoryError) or any(words in why for words in _MEMORY)
