"""What a process and all its descendants use, read from /proc so cheaply that it can go on.

Five looks a second at fifty processes must cost less than half a hundredth of a core: each process
has one small file that stays open and is read at its beginning, the larger one with its CPU time is
read less often, and the table of processes is listed only when a process was started since.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_BYTES: Final = 1024  # more than any file here has: 52 numbers, a name of at most 64 characters
_MOST_OPEN: Final = 128  # files kept open; the processes beyond are opened at each look
_LISTING_SHARE: Final = 0.001  # of a core, for listing the processes of a large machine


class _Stat(NamedTuple):
    """Fields of /proc/PID/stat, see proc_pid_stat(5); times in ticks."""

    parent: int
    session: int
    own_ticks: int
    children_ticks: int  # of those that ended and that it waited for


@dataclass(frozen=True, kw_only=True)
class Usage:
    """CPU seconds since the processes began, resident bytes, and how many processes there are.

    Pages that processes share count for each of them. CPU seconds are None when nobody asked.
    """

    cpu_seconds: float | None
    rss: int
    processes: int


class ProcessTree:
    """A process, what it starts, and what these start.

    A process belongs to the tree once it was seen with a parent of the tree, or in the session that
    the root leads: it stays when its parent ends.
    """

    def __init__(self, root: int) -> None:
        self.root = root
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
        """The processes of the tree that were there at the last look."""
        return frozenset(self._files)

    def look(self, *, cpu: bool = True) -> Usage:
        """Return what the tree uses now; the CPU time never falls when a process ends.

        Without ``cpu`` that costs less than half.
        """
        settled = self.pids
        if self._may_have_grown():
            self._find_new()
        there, pages = self.pids, 0
        for pid in there:
            resident = self._resident(pid)
            if resident is None:
                self._drop(pid, there)
            elif pid in settled:
                # Between fork and exec a child is still its parent's double: it counts when seen
                # again.
                pages += resident
        return Usage(
            cpu_seconds=self._cpu() if cpu else None,
            rss=pages * _PAGE,
            processes=len(self._files),
        )

    def _cpu(self) -> float:
        for pid in self._files:
            if stat := _stat(pid):
                self._last[pid] = stat
        used = sum(stat.own_ticks + stat.children_ticks for stat in self._last.values())
        self._cpu_seconds = max(self._cpu_seconds, (self._lost_ticks + used) / _TICKS)
        return self._cpu_seconds

    def close(self) -> None:
        """Close the files."""
        for pid in list(self._files):
            self._forget(pid)

    def _may_have_grown(self) -> bool:
        """Tell whether a process was started since the last listing, and a new one is affordable.

        A sandbox may not say which process is the newest: then there may always be one.
        """
        pause = self._listing_cost / _LISTING_SHARE
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
        while ours := [pid for pid, stat in found.items() if self._belongs(stat)]:
            for pid in ours:
                self._last[pid] = found.pop(pid)
                self._add(pid)
        self._elsewhere |= {str(pid) for pid in found}
        self._listed_at, self._listing_cost = time.monotonic(), time.thread_time() - before

    def _belongs(self, stat: _Stat) -> bool:
        return stat.parent in self._files or stat.session == self._session

    def _add(self, pid: int) -> None:
        self._files[pid] = None
        if len(self._files) <= _MOST_OPEN:
            with suppress(OSError):
                self._files[pid] = os.open(f"/proc/{pid}/statm", os.O_RDONLY)

    def _resident(self, pid: int) -> int | None:
        """Return how many pages a process has in memory, None when it ended."""
        file = self._files[pid]
        try:
            data = _contents(f"/proc/{pid}/statm") if file is None else os.pread(file, _BYTES, 0)
            return int(data.split(None, 2)[1])
        except (OSError, IndexError):  # its number may be another's by now
            return None

    def _drop(self, pid: int, there: frozenset[int]) -> None:
        """Note that a process ended; its time is its parent's now, if that was one of ``there``."""
        last = self._last.pop(pid, None)
        self._forget(pid)
        if last and last.parent not in there:
            self._lost_ticks += last.own_ticks + last.children_ticks

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
