"""A process and its descendants: what they use, and ending those that a notebook leaves running."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

import psutil

from stepkit.system import parent_death, process

logger = logging.getLogger(__name__)

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_BYTES: Final = 1024  # more than any file here has: 52 numbers, a name of at most 64 characters
_MOST_OPEN: Final = 128  # files kept open; those of further processes are opened for each reading
_LISTING_SHARE: Final = 0.001  # of a core, for listing the processes of a large machine

_EXIT_SECONDS: Final = 0.5  # for helpers that end when they see that the kernel has
_GRACE_SECONDS: Final = 2.0  # between SIGTERM and SIGKILL
_ROUNDS: Final = 3  # a process may start another one while it is being ended
_SHOWN_COMMAND: Final = 80  # characters


class _Stat(NamedTuple):
    """Fields of /proc/PID/stat, see proc_pid_stat(5); times in ticks."""

    parent: int
    session: int
    own_ticks: int
    children_ticks: int  # of children that ended and that it waited for


@dataclass(frozen=True, kw_only=True)
class Usage:
    """CPU seconds since the processes began, resident bytes, and the number of processes.

    Pages that processes share count for each of them. ``cpu_seconds`` is None if not asked for.
    """

    cpu_seconds: float | None
    rss: int
    processes: int


class ProcessTree:
    """A process, what it starts, and what these start, read from /proc.

    A process belongs to the tree once it was seen with a parent in the tree, or in the session that
    the root leads: it stays when its parent ends.

    Reading is cheap enough to go on all the time: five times a second for fifty processes must cost
    less than half a hundredth of a core. Each process has one small file that stays open, the
    larger file with the CPU time is read on demand, and the table of processes is listed only when
    a process was started since, in at most ``listing_share`` of a core's time: on a large machine,
    a new process counts some seconds later. psutil opens each file anew and always lists the whole
    table.
    """

    def __init__(self, root: int, *, listing_share: float = _LISTING_SHARE) -> None:
        self.root = root
        self._listing_share = listing_share
        self._files: dict[int, int | None] = {}
        self._elsewhere: set[str] = set()
        self._newest = b""
        self._listed_at, self._listing_cost = 0.0, 0.0
        self._lost_ticks = 0
        self._cpu_seconds = 0.0
        self._add(root)
        first = _stat(root)
        self._last = {root: first} if first else {}
        self._session = root if first and first.session == root else None

    @property
    def pids(self) -> frozenset[int]:
        """The processes of the tree that ran at the last reading."""
        return frozenset(self._files)

    def usage(self, *, cpu: bool = True) -> Usage:
        """Return what the tree uses now; the CPU time never falls when a process ends.

        Without ``cpu`` that costs less than half.
        """
        settled = self.pids
        if self._may_have_grown():
            self._find_new()
        listed, pages = self.pids, 0
        for pid in listed:
            resident = self._resident_pages(pid)
            if resident is None:
                # The parent has waited for it and counts its time, if it is in the tree itself.
                last = self._last.pop(pid, None)
                if last and last.parent not in listed:
                    self._lost_ticks += last.own_ticks + last.children_ticks
                self._forget(pid)
            elif pid in settled:
                # Between fork and exec a child shares all its parent's pages: it counts from the
                # second reading on.
                pages += resident
        if cpu:
            self._last |= {pid: stat for pid in self._files if (stat := _stat(pid))}
            used = sum(stat.own_ticks + stat.children_ticks for stat in self._last.values())
            self._cpu_seconds = max(self._cpu_seconds, (self._lost_ticks + used) / _TICKS)
        return Usage(
            cpu_seconds=self._cpu_seconds if cpu else None,
            rss=pages * _PAGE,
            processes=len(self._files),
        )

    def close(self) -> None:
        """Close the files."""
        for pid in list(self._files):
            self._forget(pid)

    def _may_have_grown(self) -> bool:
        """Return whether a process was started since the last listing, and listing is affordable.

        A sandbox may hide the number of the newest process: then there may always be a new one.
        """
        pause = self._listing_cost / self._listing_share
        if time.monotonic() - self._listed_at < pause:
            return False
        newest = _contents("/proc/loadavg").rpartition(b" ")[2].strip()
        if newest == self._newest and newest != b"0":
            return False
        self._newest = newest
        return True

    def _find_new(self) -> None:
        before = time.thread_time()
        names = {name for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208 - 5 times a second
        self._elsewhere &= names  # a number may be given again
        unknown = {int(name) for name in names - self._elsewhere} - self._files.keys()
        found = {pid: stat for pid in unknown if (stat := _stat(pid))}
        while ours := [
            pid
            for pid, stat in found.items()
            if stat.parent in self._files or stat.session == self._session
        ]:
            for pid in ours:
                self._last[pid] = found.pop(pid)
                self._add(pid)
        self._elsewhere |= {str(pid) for pid in found}
        self._listed_at, self._listing_cost = time.monotonic(), time.thread_time() - before

    def _add(self, pid: int) -> None:
        self._files[pid] = None
        if len(self._files) <= _MOST_OPEN:
            with suppress(OSError):
                self._files[pid] = os.open(f"/proc/{pid}/statm", os.O_RDONLY)

    def _resident_pages(self, pid: int) -> int | None:
        """Return how many pages a process has in memory, None when it ended."""
        file = self._files[pid]
        try:
            data = _contents(f"/proc/{pid}/statm") if file is None else os.pread(file, _BYTES, 0)
            return int(data.split(None, 2)[1])
        except (OSError, IndexError):  # its number may be another's by now
            return None

    def _forget(self, pid: int) -> None:
        file = self._files.pop(pid)
        if file is not None:
            os.close(file)


def _stat(pid: int) -> _Stat | None:
    data = _contents(f"/proc/{pid}/stat")
    fields = data[data.rfind(b")") + 2 :].split(None, 15)  # the name may hold anything
    if len(fields) < 15:  # noqa: PLR2004
        return None
    own, children = fields[11:13], fields[13:15]
    return _Stat(int(fields[1]), int(fields[3]), sum(map(int, own)), sum(map(int, children)))


def _contents(path: str) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(file, _BYTES)
    except OSError:
        return b""
    finally:
        os.close(file)


class Descendants:
    """All processes that this one's notebooks start from now on, even those that detach themselves.

    A dask worker that left the kernel's process group becomes a child of this process, instead of
    init's, when its parent dies. Each kernel runs in a separate session, and nothing in it joins
    this process's session: what is in that one was started by another part of the program and is
    left alone, as is what :func:`stepkit.system.process.run` runs meanwhile.
    """

    _active: ClassVar[list[Descendants]] = []  # one for each notebook that runs now, in any thread

    def __init__(self) -> None:
        self._before = set(psutil.Process().children(recursive=True))
        self.strays: list[str] = []
        self._active.append(self)
        parent_death.adopt_orphans(yes=True)

    def end(self) -> None:
        """End those that still run, and note in ``strays`` and log which they were.

        While other notebooks run, a process cannot be assigned to one of them: the last notebook
        ends them all.
        """
        if self._active != [self]:
            return
        for number in range(_ROUNDS):
            others = {os.getsid(0), *process.sessions()}
            now = psutil.Process().children(recursive=True)
            remaining = [c for c in now if c not in self._before and _session(c) not in others]
            if not number:
                _, remaining = psutil.wait_procs(remaining, timeout=_EXIT_SECONDS)
            for stray in remaining:
                with suppress(psutil.Error):
                    if stray.status() != psutil.STATUS_ZOMBIE:
                        self._note(stray)
            _terminate(remaining)

    def close(self) -> None:
        """End those that still run, and adopt no more."""
        self.end()
        self._active.remove(self)
        for other in self._active:
            other._before &= self._before  # noqa: SLF001 - it ends what this one leaves
        if not self._active:
            parent_death.adopt_orphans(yes=False)

    def _note(self, stray: psutil.Process) -> None:
        try:
            command = " ".join(stray.cmdline()) or stray.name()
        except psutil.Error:
            command = "ended meanwhile"
        self.strays.append(f"process {stray.pid} ({command[:_SHOWN_COMMAND]})")
        logger.warning("left running by the notebook, ended now: %s", self.strays[-1])


def _session(child: psutil.Process) -> int:
    with suppress(ProcessLookupError):
        return os.getsid(child.pid)
    return 0


def _terminate(children: list[psutil.Process]) -> None:
    """Ask each child to end, then insist. psutil checks that its number was not given again."""
    for child in children:
        with suppress(psutil.Error):
            child.terminate()
    _, alive = psutil.wait_procs(children, timeout=_GRACE_SECONDS)
    for child in alive:
        with suppress(psutil.Error):
            child.kill()
    psutil.wait_procs(alive, timeout=_GRACE_SECONDS)
