"""The processes of a notebook: what they use, and what is left of them afterwards."""

from __future__ import annotations

import ctypes
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

_PR_SET_CHILD_SUBREAPER: Final = 36  # linux/prctl.h
_GRACE_SECONDS: Final = 2.0
_LAST_SECONDS: Final = 0.5  # for helpers that end when they see that the kernel has
_ROUNDS: Final = 3  # what is ended may have started something meanwhile
_SHOWN_COMMAND: Final = 80  # characters


class Family:
    """All processes that this one starts from now on, also those that detach themselves.

    A dask worker that left the kernel's process group becomes a child of this process when its
    parent dies, instead of init's.
    """

    def __init__(self) -> None:
        self._before = set(psutil.Process().children(recursive=True))
        self.strays: list[str] = []
        _adopt(yes=True)

    def end(self) -> None:
        """End those that are left, and note and log which they were."""
        for number in range(_ROUNDS):
            left = [p for p in psutil.Process().children(recursive=True) if p not in self._before]
            if not number:
                _, left = psutil.wait_procs(left, timeout=_LAST_SECONDS)
            found = [_described(process) for process in left if _alive(process)]
            for stray in found:
                logger.warning("left running by the notebook, ended now: %s", stray)
            self.strays += found
            _end(left)

    def close(self) -> None:
        """End those that are left, and adopt no more."""
        self.end()
        _adopt(yes=False)


def memory(pid: int) -> int:
    """Return the resident memory of a process and its descendants in bytes."""
    return int(sum(_of(process, lambda p: p.memory_info().rss) for process in _tree(pid)))


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process and its descendants have used."""
    return sum(
        _of(process, lambda p: p.cpu_times().user + p.cpu_times().system) for process in _tree(pid)
    )


def _tree(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _of(process: psutil.Process, ask: Callable[[psutil.Process], float]) -> float:
    with suppress(psutil.Error):  # it ended meanwhile
        return ask(process)
    return 0


def _alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _described(process: psutil.Process) -> str:
    try:
        command = " ".join(process.cmdline()) or process.name()
    except psutil.Error:
        command = "ended meanwhile"
    return f"process {process.pid} ({command[:_SHOWN_COMMAND]})"


def _end(processes: list[psutil.Process]) -> None:
    """Ask each by its own id, then insist. psutil checks that an id was not given away."""
    for process in processes:
        with suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=_GRACE_SECONDS)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=_GRACE_SECONDS)


def _adopt(*, yes: bool) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0)
