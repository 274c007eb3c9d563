"""What Linux knows of a process and of its children, from /proc."""

from __future__ import annotations

import itertools
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MARK: Final = "STEPKIT_BENCHMARK"  # in the environment of everything that is started here

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_POLL_SECONDS: Final = 0.05


def is_kernel(pid: int) -> bool:
    """Tell whether a process is a notebook's kernel: it was given a connection file."""
    command = _read(pid, "cmdline").split(b"\0")
    return any(
        flag == b"-f" and name.endswith(b".json") for flag, name in itertools.pairwise(command)
    )


def children(pid: int) -> list[int]:
    """Return the children of all threads of ``pid``."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, _read(pid, f"task/{task.name}/children").split())
    return found


def descendants(pid: int) -> list[int]:
    """Return the children of ``pid``, and theirs."""
    below = children(pid)
    return below + [deeper for child in below for deeper in descendants(child)]


def peak_memory(pid: int) -> int:
    """Return the most bytes that ``pid`` had in memory so far, 0 when it is gone."""
    for line in _read(pid, "status").splitlines():
        if line.startswith(b"VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def memory(pid: int) -> int:
    """Return the bytes that ``pid`` has in memory now."""
    fields = _read(pid, "statm").split()
    return int(fields[1]) * _PAGE if fields else 0


def cpu(pid: int) -> float:
    """Return the processor seconds of ``pid`` itself; a zombie still has them."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


def marked(mark: str) -> list[int]:
    """Return the processes that inherited ``mark`` and still run."""
    wanted = f"{MARK}={mark}".encode()
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in pids if wanted in _read(pid, "environ").split(b"\0")]


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until ``condition`` holds; False when it still does not after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def gone(mark: str, seconds: float) -> bool:
    """Wait until no process with ``mark`` is left; False when one outlives ``seconds``."""
    return until(lambda: not marked(mark), seconds)


def kill_marked(mark: str) -> None:
    """Kill what a run left behind, each process by its own id."""
    for pid in marked(mark):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # it ended meanwhile
        return b""


@dataclass
class Watch:
    """Look at a runner and its kernel again and again, and keep the highest figures.

    The kernel is the same whoever runs it; ``runner_*`` leaves it and its children out.
    """

    pid: int
    runner_memory: int = 0
    tree_memory: int = 0
    _helpers: dict[int, float] = field(default_factory=dict)
    _kernels: set[int] = field(default_factory=set)

    def look(self) -> None:
        """Take one sample."""
        helpers = self._without_kernels(self.pid)[1:]
        # Between fork and exec a child is still its parent's double: it counts when seen again.
        settled = [pid for pid in helpers if pid in self._helpers]
        for pid in helpers:
            self._helpers[pid] = max(cpu(pid), self._helpers.get(pid, 0.0))
        own = peak_memory(self.pid) + sum(memory(pid) for pid in settled)
        self.runner_memory = max(self.runner_memory, own)
        everyone = [self.pid, *descendants(self.pid)]
        self.tree_memory = max(self.tree_memory, sum(memory(pid) for pid in everyone))

    def runner_cpu(self) -> float:
        """Return the processor seconds so far, also when the runner is a zombie."""
        return cpu(self.pid) + sum(self._helpers.values())

    def _without_kernels(self, pid: int) -> list[int]:
        found = [pid]
        for child in children(pid):
            if child in self._kernels or is_kernel(child):
                self._kernels.add(child)  # as a zombie it has no command line any more
                self._helpers.pop(child, None)  # seen between fork and exec
            else:
                found += self._without_kernels(child)
        return found
