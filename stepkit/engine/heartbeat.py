"""Log now and then what a long cell does, and detect one that does nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from stepkit.formats import durations
from stepkit.system import gpu_devices, nvml
from stepkit.system.process_tree import ProcessTree

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepkit.engine.cell_events import RunState
    from stepkit.engine.client import Client

progress = logging.getLogger("stepkit.progress")

_IDLE: Final = 0.02  # share of a core that a waiting kernel and its helpers may use
_TICKS: Final = 0.02  # seconds of CPU time that mean nothing in a short time: it is read in 0.01 s
_LONGEST_STEP: Final = 10.0  # seconds between two looks at a GPU, which works in bursts
_GIB: Final = 2**30


class Heartbeat:
    """Logs a line every ``interval`` seconds of a cell, 0 for none, and calls ``on_hang``.

    A cell is idle while the processes of the kernel print nothing, use less than 2 % of a core, and
    have no GPU open that works or whose utilisation is unknown. After ``hang_timeout`` seconds of
    that it hangs; with None it never does.
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
        self._active_at = self._checked_at = time.monotonic()
        self._cpu = 0.0

    async def beat(self) -> None:
        """Check the kernel and log, until cancelled."""
        looks = self._hang_timeout and min(self._hang_timeout / 4, _LONGEST_STEP)
        step = min((seconds for seconds in (self._interval, looks) if seconds), default=None)
        if step is None:
            return
        with closing(ProcessTree(self._pid, listing_share=1)) as tree:
            self._cpu = logged_cpu = tree.usage().cpu_seconds or 0.0
            logged = time.monotonic()
            while True:
                await asyncio.sleep(step)
                self._check(tree)
                seconds = self._checked_at - logged
                if self._interval and seconds >= self._interval * 0.9:
                    self._log(tree, (self._cpu - logged_cpu) / seconds)
                    logged, logged_cpu = self._checked_at, self._cpu

    def _check(self, tree: ProcessTree) -> None:
        cpu, now = tree.usage().cpu_seconds or 0.0, time.monotonic()
        works = cpu - self._cpu > max(_IDLE * (now - self._checked_at), _TICKS)
        prints = self._client.last_message > self._checked_at
        self._cpu, self._checked_at = cpu, now
        if self._state.running is None or works or prints or _uses_a_gpu(tree):
            self._active_at = now
        elif self._hang_timeout and now - self._active_at >= self._hang_timeout:
            self._on_hang()

    def _log(self, tree: ProcessTree, share: float) -> None:
        if self._state.running is None:
            return
        where = self._state.place(self._state.running)
        since = durations.elapsed(time.monotonic() - self._state.clock, tenths=False)
        line = (
            f"{where} running {since}, CPU {share:.0%}, {tree.usage(cpu=False).rss / _GIB:.2f} GiB"
        )
        if memory := nvml.read_memory():
            line += f", GPU {memory[0] / _GIB:.1f} of {memory[1] / _GIB:.0f} GiB"
        idle = self._checked_at - self._active_at
        if idle > self._interval:
            line += f"; no output and no work for {durations.elapsed(idle, tenths=False)}"
        progress.info("%s", line)


def _uses_a_gpu(tree: ProcessTree) -> bool:
    """Return whether a GPU works that a process has open; True if the driver does not say."""
    return gpu_devices.are_open_in(tree.pids) and nvml.read_utilisation() != 0
