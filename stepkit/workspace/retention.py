"""What earlier runs left in a workspace and nobody needs any more.

Only what provably comes from stepkit is found: a run's directory with its marker, a backup that
git-clone made beside a checkout of its own, the scratch directory of a killed command.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from stepkit.datasets import cache as dataset_cache
from stepkit.errors import ConfigurationError, Reason, StepError
from stepkit.formats import durations
from stepkit.git import skip_unchanged
from stepkit.system import atomic_files, removal
from stepkit.workspace import run_marker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

logger = logging.getLogger(__name__)

Kind = Literal["run", "backup", "scratch", "cache"]

_LOCK: Final = ".stepkit-clean.lock"
_LOCK_MODE: Final = 0o660
_BACKUP: Final = re.compile(r"(?P<name>.+)\.backup-(?P<time>\d{8}T\d{12}Z)", re.ASCII | re.DOTALL)
_BACKUP_TIME: Final = "%Y%m%dT%H%M%S%fZ"
_SCRATCH: Final = re.compile(r"\.(?P<name>.+)\.stepkit-[a-z0-9_]{8}", re.ASCII | re.DOTALL)
_SCRATCH_PARTS: Final = {"new", "old"}  # of files.replacing

_SKEW: Final = 300.0  # seconds by which the clock of a file server may be ahead of ours
# A run in which anything changed so short a time ago, or in which a step began within a day and
# has not ended, may be going on, whatever age was asked for. No task of ours may take a day.
_QUIET: Final = 3600.0
_LONGEST_STEP: Final = float(durations.DAY)


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """One thing that may go, ``size`` in bytes; or that stays for the reason in ``keep``."""

    kind: Kind
    path: Path
    why: str
    size: int = 0
    keep: str = ""
    entry: dataset_cache.Entry | None = None


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Wait for another cleaning of ``directory`` to end, also one of another user.

    Raises :class:`StepError` when it cannot be locked. A full disk has no room for the lock, and
    most need of the cleaning: the directory itself is the lock then, where the disk allows it.
    """
    lock = directory / _LOCK
    try:
        with atomic_files.explaining(f"cannot lock {lock}"), suppress(FileExistsError):
            handle = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)
            os.fchmod(handle, _LOCK_MODE)  # whatever the umask
            os.close(handle)
    except StepError as error:
        if error.reason != Reason.DISK_FULL:
            raise
        with _locked_itself(directory):
            yield
        return
    with atomic_files.locked(lock):
        yield


@contextmanager
def _locked_itself(directory: Path) -> Iterator[None]:
    with atomic_files.explaining(f"cannot lock {directory}"):
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # NFS locks nothing that is read alone
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def runs(directory: Path, *, older_than: float, keep: int, now: float) -> Iterator[Leftover]:
    """Yield the directories of runs in which nothing changed for ``older_than`` seconds.

    The ``keep`` newest stay whatever their age. ``now`` is in seconds since 1970.
    """
    found: list[tuple[float, Path]] = []
    for path, marker in marked(directory):
        if marker.doubt:
            yield Leftover(kind="run", path=path, why="", keep=marker.doubt)
        else:
            found.append((marker.created.timestamp(), path))
    newest_first = sorted(found, reverse=True)
    for created, path in newest_first[keep:]:
        if now - created < older_than and created <= now + _SKEW:
            continue
        measured = removal.measure(path)
        last = max(created, measured.changed)
        why = f"nothing changed in it since {_day(last)}"
        if last > now + _SKEW:
            yield Leftover(kind="run", path=path, why=why, keep=_future(last))
        elif now - last < older_than:
            continue
        elif going_on := _going_on(path, last, now):
            yield Leftover(kind="run", path=path, why=why, keep=going_on)
        else:
            yield Leftover(kind="run", path=path, why=why, size=measured.size)


def marked(directory: Path) -> Iterator[tuple[Path, run_marker.Marker]]:
    """Yield each directory in ``directory`` that holds a run's marker, with what it says."""
    for path in _children(directory):
        if path.is_dir() and (marker := run_marker.read(path)):
            yield path, marker


def _going_on(run: Path, changed: float, now: float) -> str:
    if now - changed < _QUIET:
        return f"something changed in it at {_time(changed)}: it may be going on"
    for path in sorted(
        (run / "reports").rglob("*.json")
    ):  # a matrix has notebooks/intro.ipynb.json
        told = run_marker.report(path)
        if told and told.get("exit_code", 0) is None and told.get("reason") == "killed":
            try:
                started = datetime.fromisoformat(str(told.get("started"))).timestamp()
            except ValueError:
                continue
            if now - started < _LONGEST_STEP:
                return f"{told.get('step')} began in it at {_time(started)} and has not ended"
    return ""


def backups(places: Iterable[Path], *, older_than: float, now: float) -> Iterator[Leftover]:
    """Yield what git-clone kept of changed checkouts, ``older_than`` seconds ago or more.

    The time in the name counts, because a directory that is given another name keeps its mtime;
    or a later one at which somebody changed something in it.
    """
    for path in (child for place in places for child in _children(place)):
        told = _BACKUP.fullmatch(path.name)
        if not told or not path.is_dir():
            continue
        try:
            made = datetime.strptime(told["time"], _BACKUP_TIME).replace(tzinfo=UTC).timestamp()
        except ValueError:  # 20269999T…: no name that git-clone gives
            continue
        why = f"kept since {_day(made)}"
        if now - made < older_than and made <= now + _SKEW:
            continue
        last = max(made, removal.measure(path).changed)
        if last > now + _SKEW:
            yield Leftover(kind="backup", path=path, why=why, keep=_future(last))
        elif now - last >= older_than:
            yield _judged_backup(path, path.with_name(told["name"]), why)


def _judged_backup(path: Path, checkout: Path, why: str) -> Leftover:
    if not _cloned(checkout):
        keep = f"there is no checkout made by stepkit at {checkout}"
        return Leftover(kind="backup", path=path, why=why, keep=keep)
    if not _cloned(path):
        keep = "it is no checkout made by stepkit"
        return Leftover(kind="backup", path=path, why=why, keep=keep)
    return Leftover(kind="backup", path=path, why=why, size=removal.measure(path).size)


def _cloned(checkout: Path) -> bool:
    with suppress(OSError):  # another user's closed one
        return not checkout.is_symlink() and skip_unchanged.made_by_stepkit(checkout)
    return False


def trash(places: Iterable[Path]) -> Iterator[Leftover]:
    """Yield what a killed removal left; only one removal at a time may ask."""
    why = "an earlier removal was interrupted"
    for path in (child for place in places for child in _children(place)):
        if removal.is_trash(path):
            yield Leftover(kind="scratch", path=path, why=why, size=removal.measure(path).size)


def scratch(places: Iterable[Path], *, older_than: float, now: float) -> Iterator[Leftover]:
    """Yield what killed commands left beside what they were making, unchanged for ``older_than``.

    One whose lock is held is in use, and one without a lock may be for an hour.
    """
    for path in (child for place in places for child in _children(place)):
        told = _SCRATCH.fullmatch(path.name)
        if not told or not path.is_dir():
            continue
        target, lock = path.with_name(told["name"]), path.with_name(f".{told['name']}.lock")
        least = older_than if os.path.lexists(lock) else max(older_than, _QUIET)
        changed = removal.measure(path).changed
        if (now - changed >= least or changed > now + _SKEW) and not _locked(lock):
            yield from _judged_scratch(path, target, changed, now)


def _judged_scratch(path: Path, target: Path, changed: float, now: float) -> Iterator[Leftover]:
    """Yield ``path`` if it is laid out like one; another user's is closed, and its name counts."""
    try:
        parts = set(os.listdir(path))  # noqa: PTH208 - names alone are wanted
    except OSError:
        parts = _SCRATCH_PARTS  # who knows
    if not parts <= _SCRATCH_PARTS:
        return
    keep = ""
    if changed > now + _SKEW:
        keep = _future(changed)
    elif "old" in parts and not os.path.lexists(target):
        keep = f"it may hold the only copy of {target}"
    why = f"a killed command left it on {_day(changed)}"
    size = 0 if keep else removal.measure(path).size
    yield Leftover(kind="scratch", path=path, why=why, size=size, keep=keep)


def cached(
    cache: Path, *, older_than: float | None, limit: int | None, now: float
) -> Iterator[Leftover]:
    """Yield entries that no run used for ``older_than`` seconds, or that are beyond ``limit``.

    Those used longest ago go, until the rest takes no more than ``limit`` bytes.

    Raises :class:`ConfigurationError` for a directory that is no cache.
    """
    entries = sorted(dataset_cache.entries(cache), key=lambda entry: entry.used)
    if entries and not (cache / dataset_cache.TAG).is_file():
        raise ConfigurationError(
            f"{cache} has no {dataset_cache.TAG}: it is no cache of download-dataset; "
            "nothing was removed there"
        )
    total = sum(entry.size for entry in entries)
    for entry in entries:
        used = entry.used.timestamp()
        why = f"not used since {_day(used)}"
        excess = limit is not None and total > limit
        old = older_than is not None and now - used >= older_than
        if used > now + _SKEW:
            yield Leftover(kind="cache", path=entry.path, why=why, keep=_future(used))
        elif old or excess:
            total -= entry.size
            size = sum(removal.measure(path).size for path in (entry.path, entry.part))
            yield Leftover(kind="cache", path=entry.path, why=why, size=size, entry=entry)


def _children(directory: Path) -> list[Path]:
    """Return what is in ``directory``, links left out; nothing once somebody removed it."""
    with atomic_files.explaining(f"cannot look into {directory}"), suppress(FileNotFoundError):
        return sorted(path for path in directory.iterdir() if not path.is_symlink())
    return []


def _locked(path: Path) -> bool:
    """Tell whether a process holds the lock; one that cannot be asked counts as held."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def _future(moment: float) -> str:
    return f"it is from the future ({_time(moment)}): is the clock right?"


def _day(moment: float) -> str:
    return _time(moment).partition("T")[0]


def _time(moment: float) -> str:
    try:
        return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError):  # a broken mtime
        return f"{moment:g} s"
