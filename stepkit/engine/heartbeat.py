"""Log now and then that a long cell is alive, and detect a kernel that hangs."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from stepkit.formats import durations
from stepkit.system import nvml
from stepkit.system.process_tree import ProcessTree

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepkit.engine.cell_events import RunState
    from stepkit.engine.client import Client

progress = logging.getLogger("stepkit.progress")

# Share of a core below which a kernel counts as idle: while a call that hangs holds the lock of the
# interpreter, threads that wait for it wake up 200 times a second (sys.getswitchinterval).
_IDLE: Final = 0.05
_GIB: Final = 2**30


class Heartbeat:
    """Logs a line every ``interval`` seconds of a cell, 0 for none.

    The kernel hangs when it neither answers on its control channel, nor prints, nor uses the CPU:
    a long cell does at least one of them. After ``hang_timeout`` seconds of that, ``on_hang`` is
    called; with None it never is.
    """

    def __init__(
        self,
        client: Client,
        state: RunState,
        pid: int,
        *,
        interval: float,
        hang_timeout: float | None,
        on_hang: Callable[[], None],
    ) -> None:
        self._client = client
        self._state = state
        self._pid = pid
        self._interval = interval
        self._hang_timeout = hang_timeout
        self._on_hang = on_hang
        self._alive_at = time.monotonic()
        self._checked_at = time.monotonic()
        self._cpu = 0.0

    async def beat(self) -> None:
        """Check the kernel and log, until cancelled."""
        steps = [self._interval, (self._hang_timeout or 0) / 4]
        step = min((seconds for seconds in steps if seconds), default=None)
        if step is None:
            return
        logged = time.monotonic()
        with closing(ProcessTree(self._pid)) as tree:
            while True:
                await asyncio.sleep(step)
                await self._check(tree)
                if self._interval and time.monotonic() - logged >= self._interval * 0.9:
                    logged = time.monotonic()
                    self._log(tree)

    async def _check(self, tree: ProcessTree) -> None:
        if self._state.running is None:
            self._alive_at = time.monotonic()
            return
        cpu, now = tree.usage().cpu_seconds or 0.0, time.monotonic()
        works = cpu - self._cpu > _IDLE * (now - self._checked_at)
        prints = self._client.last_message > self._checked_at
        self._cpu, self._checked_at = cpu, now
        if works or prints or await self._client.answers():
            self._alive_at = time.monotonic()
        elif self._hang_timeout and time.monotonic() - self._alive_at >= self._hang_timeout:
            self._on_hang()

    def _log(self, tree: ProcessTree) -> None:
        if self._state.running is None:
            return
        where = self._state.place(self._state.running)
        seconds = time.monotonic() - self._state.clock
        silent = time.monotonic() - self._alive_at
        since = durations.elapsed(seconds, tenths=False)
        line = f"{where} running {since}, {tree.usage(cpu=False).rss / _GIB:.2f} GiB"
        if memory := nvml.read_memory():
            line += f", GPU {memory[0] / _GIB:.1f} of {memory[1] / _GIB:.0f} GiB"
        if silent > self._interval:
            quiet = durations.elapsed(silent, tenths=False)
            line += f"; no answer, no output and no work for {quiet}: it may hang"
        progress.info("%s", line)
