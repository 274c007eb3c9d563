"""The processes of a notebook: what they use, and what is left of them afterwards."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Final

import psutil

from stepkit.system import prctl
from stepkit.system.process import sessions

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

_GRACE_SECONDS: Final = 2.0
_LAST_SECONDS: Final = 0.5  # for helpers that end when they see that the kernel has
_ROUNDS: Final = 3  # what is ended may have started something meanwhile
_SHOWN_COMMAND: Final = 80  # characters


class Family:
    """All processes that this one's notebooks start from now on, also those that detach themselves.

    A dask worker that left the kernel's process group becomes a child of this process when its
    parent dies, instead of init's. Kernels run in sessions of their own, which nothing leaves for
    this process's session: what is in that one was started by somebody else, and is left alone, as
    is what stepkit itself runs meanwhile.
    """

    _families: ClassVar[list[Family]] = []  # of the notebooks that run now, in several threads

    def __init__(self) -> None:
        self._before = set(psutil.Process().children(recursive=True))
        self.strays: list[str] = []
        self._families.append(self)
        prctl.adopt_orphans(yes=True)

    def end(self) -> None:
        """End those that are left, and note and log which they were.

        While other notebooks run, nobody knows whose a process is: the last one ends them all.
        """
        if self._families != [self]:
            return
        for number in range(_ROUNDS):
            left = self._left()
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
        self._families.remove(self)
        for other in self._families:
            other._before &= self._before  # noqa: SLF001 - it ends what this one leaves
        if not self._families:
            prctl.adopt_orphans(yes=False)

    def _left(self) -> list[psutil.Process]:
        now = psutil.Process().children(recursive=True)
        others = {os.getsid(0), *sessions()}
        return [p for p in now if p not in self._before and _session(p) not in others]


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


def _session(process: psutil.Process) -> int:
    with suppress(ProcessLookupError):
        return os.getsid(process.pid)
    return 0


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
