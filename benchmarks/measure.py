"""Run one command in a fresh process and measure it."""

from __future__ import annotations

import os
import select
import subprocess
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from benchmarks import processes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_SAMPLE_SECONDS: Final = 0.05
_TAIL: Final = 2000  # characters of what a failed command printed


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a command took: times in seconds, memory in bytes.

    ``first_output`` is when its first byte appeared on stdout or stderr. ``runner_*`` is without
    the kernel and its children, ``tree_*`` is with them.
    """

    wall: float
    first_output: float | None
    runner_cpu: float
    tree_cpu: float
    runner_memory: int
    tree_memory: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished command: ``code`` as in :mod:`subprocess`, None when it took too long."""

    usage: Usage
    code: int | None
    output: str


@dataclass
class _Output:
    """Everything a command prints, and when it began to."""

    pipe: int
    started: float
    first: float | None = None
    data: bytearray = field(default_factory=bytearray)

    def drain(self) -> None:
        while block := os.read(self.pipe, 1 << 16):
            if self.first is None:
                self.first = time.perf_counter() - self.started
            self.data += block
        os.close(self.pipe)


def run(command: Sequence[str], *, env: Mapping[str, str], cwd: Path, limit: float) -> Run:
    """Run ``command`` for at most ``limit`` seconds; whatever it leaves running is killed."""
    mark = uuid.uuid4().hex
    pipe, end = os.pipe()
    started = time.perf_counter()
    child = subprocess.Popen(
        command,
        env={**env, processes.MARK: mark},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=end,
        stderr=end,
        start_new_session=True,
    )
    os.close(end)
    output = _Output(pipe, started)
    reader = threading.Thread(target=output.drain)
    reader.start()
    watch = processes.Watch(child.pid)
    in_time = _wait(child.pid, watch, started + limit)
    if not in_time:
        processes.kill_marked(mark)
    usage, code = _reap(child, watch, started, output)
    processes.kill_marked(mark)  # or the pipe stays open
    reader.join()
    return Run(
        usage=usage,
        code=code if in_time else None,
        output=output.data.decode(errors="replace")[-_TAIL:],
    )


def _wait(pid: int, watch: processes.Watch, deadline: float) -> bool:
    """Sample until the process ends, which is noticed at once; False when it is too late."""
    handle = os.pidfd_open(pid)
    try:
        while not select.select([handle], [], [], _SAMPLE_SECONDS)[0]:
            watch.look()
            if time.perf_counter() > deadline:
                return False
    finally:
        os.close(handle)
    return True


def _reap(
    child: subprocess.Popen[bytes], watch: processes.Watch, started: float, output: _Output
) -> tuple[Usage, int]:
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    wall = time.perf_counter() - started
    own = watch.runner_cpu()  # before the zombie is gone
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    usage = Usage(
        wall=wall,
        first_output=output.first,
        runner_cpu=own,
        tree_cpu=max(own, used.ru_utime + used.ru_stime),
        runner_memory=watch.runner_memory,
        tree_memory=watch.tree_memory,
    )
    return usage, child.returncode


def together(parts: Sequence[Usage]) -> Usage:
    """Return what commands took one after the other."""
    return Usage(
        wall=sum(part.wall for part in parts),
        first_output=parts[0].first_output,
        runner_cpu=sum(part.runner_cpu for part in parts),
        tree_cpu=sum(part.tree_cpu for part in parts),
        runner_memory=max(part.runner_memory for part in parts),
        tree_memory=max(part.tree_memory for part in parts),
    )
