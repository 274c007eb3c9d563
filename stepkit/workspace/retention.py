"""What earlier runs left in a workspace, and what of it is old enough to remove.

Only what is provably made by stepkit is found: the directory of a run with its marker, a backup
that git-clone made beside its checkout, the scratch directory of a killed command, an entry of a
dataset cache, an environment of tests in its cache.
"""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from stepkit.datasets import cache as dataset_cache
from stepkit.errors import ConfigurationError, Reason, StepError
from stepkit.formats import durations
from stepkit.git import local_changes
from stepkit.system import atomic_files, backup_names, cache_directory, locks, removal, scratch
from stepkit.test_suite import environment_cache
from stepkit.workspace import run_marker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

logger = logging.getLogger(__name__)

_LOCK: Final = ".stepkit-clean.lock"
_LOCK_MODE: Final = 0o660
_SCRATCH_CONTENT: Final = {"new", "old"}  # of atomic_files.replacing

_ZONES: Final = 14 * 3600.0  # seconds by which a local time may be ahead of UTC
_SKEW: Final = 300.0  # seconds by which the clock of a file server may be ahead of ours
# A run may still be going on if anything changed in it within an hour, or if one of its steps
# began within a day and has not ended; it stays, whatever its age. No Task may take a whole day.
_QUIET: Final = 3600.0
_LONGEST_STEP: Final = float(durations.DAY)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One thing that may be removed, ``size`` in bytes; or that stays, ``keep`` says why."""

    kind: Literal["run", "backup", "scratch", "cache", "environment"]
    path: Path
    why: str
    size: int = 0
    keep: str = ""
    entry: dataset_cache.Entry | environment_cache.Entry | None = None


@contextmanager
def lock_cleaning(directory: Path) -> Iterator[None]:
    """Wait until no other process cleans ``directory``, and keep others out during the block.

    The lock file is open to other users of the group. Raises :class:`StepError` when it cannot be
    locked. A full disk has no room for that file, and needs cleaning most: the directory itself
    is locked then, where the file system allows it.
    """
    lock = directory / _LOCK
    with ExitStack() as held:
        try:
            with atomic_files.explaining(f"cannot lock {lock}"), suppress(FileExistsError):
                handle = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)
                os.fchmod(handle, _LOCK_MODE)  # whatever the umask
                os.close(handle)
            held.enter_context(locks.locked(lock))
        except StepError as error:
            if error.reason != Reason.DISK_FULL:
                raise
            held.enter_context(locks.locked_directory(directory))
        yield


def find_runs(directory: Path, *, older_than: float, keep: int, now: float) -> Iterator[Candidate]:
    """Yield the directories of runs in which nothing changed for ``older_than`` seconds.

    The ``keep`` newest runs stay whatever their age. ``now`` is in seconds since 1970.
    """
    found: list[tuple[float, Path]] = []
    for path, marker in marked_runs(directory):
        if marker.doubt:
            yield Candidate(kind="run", path=path, why="", keep=marker.doubt)
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
            yield Candidate(kind="run", path=path, why=why, keep=_future(last))
        elif now - last < older_than:
            continue
        elif activity := _find_activity(path, last, now):
            yield Candidate(kind="run", path=path, why=why, keep=activity)
        else:
            yield Candidate(kind="run", path=path, why=why, size=measured.size)


def marked_runs(directory: Path) -> Iterator[tuple[Path, run_marker.Marker]]:
    """Yield each directory in ``directory`` that has a run's marker, and the marker."""
    for path in _children(directory):
        if path.is_dir() and (marker := run_marker.read(path)):
            yield path, marker


def _find_activity(run: Path, changed: float, now: float) -> str:
    """Return why ``run``, last changed at ``changed``, may still be going on; empty if it ended."""
    if now - changed < _QUIET:
        return f"something changed in it at {_time(changed)}: it may be going on"
    # A matrix of notebooks writes reports/notebooks/intro.ipynb.json.
    for path in sorted((run / "reports").rglob("*.json")):
        report = run_marker.read_report(path)
        if report and report.get("exit_code", 0) is None and report.get("reason") == "killed":
            try:
                started = datetime.fromisoformat(str(report.get("started"))).timestamp()
            except ValueError:
                continue
            if now - started < _LONGEST_STEP:
                return f"{report.get('step')} began in it at {_time(started)} and has not ended"
    return ""


def find_backups(places: Iterable[Path], *, older_than: float, now: float) -> Iterator[Candidate]:
    """Yield the backups in ``places`` that git-clone made ``older_than`` seconds ago or earlier.

    The time in the name counts, because renaming a directory keeps its mtime; or a later time at
    which anything in the backup changed.
    """
    for path in (child for place in places for child in _children(place)):
        backup = backup_names.parse(path)
        if not backup or not path.is_dir():
            continue
        checkout, made = backup[0], backup[1].timestamp()
        if now - made < older_than and made <= now + _SKEW:
            continue
        measured = removal.measure(path)
        last = max(made, measured.changed)
        keep = ""
        if last > now + _SKEW:
            keep = _future(last)
        elif now - last < older_than:
            continue
        elif not _is_checkout(checkout):
            keep = f"there is no checkout made by stepkit at {checkout}"
        elif not _is_checkout(path):
            keep = "it is not a checkout made by stepkit"
        why, size = f"kept since {_day(made)}", 0 if keep else measured.size
        yield Candidate(kind="backup", path=path, why=why, size=size, keep=keep)


def find_legacy_backups(
    places: Iterable[Path], *, older_than: float, now: float
) -> Iterator[Candidate]:
    """Yield checkouts that the workflow before stepkit kept as ``NAME_backup_TIME``.

    The time in the name counts as for :func:`find_backups`; it may be of any time zone.
    """
    for path in (child for place in places for child in _children(place)):
        made = backup_names.parse_legacy(path)
        if not made or not path.is_dir():
            continue
        measured = removal.measure(path)
        last = max(made.timestamp(), measured.changed)
        keep = _future(last) if last > now + _ZONES else ""
        if now - last < older_than and not keep:
            continue
        if not keep and not os.path.lexists(path / ".git"):
            keep = "it is not a checkout of git"
        why, size = f"kept since {_day(made.timestamp())}", 0 if keep else measured.size
        yield Candidate(kind="backup", path=path, why=why, size=size, keep=keep)


def _is_checkout(path: Path) -> bool:
    with suppress(OSError):  # another user's directory may be closed
        return not path.is_symlink() and local_changes.made_by_stepkit(path)
    return False


def find_trash(places: Iterable[Path]) -> Iterator[Candidate]:
    """Yield what killed removals left in ``places``; call it under :func:`lock_cleaning`."""
    why = "an earlier removal was interrupted"
    for path in (child for place in places for child in _children(place)):
        if removal.is_trash(path):
            yield Candidate(kind="scratch", path=path, why=why, size=removal.measure(path).size)


def find_scratch(places: Iterable[Path], *, older_than: float, now: float) -> Iterator[Candidate]:
    """Yield the scratch of killed commands, unchanged for ``older_than`` seconds.

    Scratch that a process holds is in use, or whose target one has locked; without a lock file it
    may be in use for an hour. The content of another user's may be unreadable: its name counts
    then.
    """
    for path in (child for place in places for child in _children(place)):
        target = scratch.target_of(path)
        if target is None:
            continue
        lock = path.with_name(f".{target.name}.lock")
        least = older_than if os.path.lexists(lock) else max(older_than, _QUIET)
        measured = removal.measure(path)
        in_future = measured.changed > now + _SKEW
        if now - measured.changed < least and not in_future:
            continue
        if locks.is_held(lock) or scratch.in_use(path):
            continue
        try:
            content = set(os.listdir(path))  # noqa: PTH208 - names alone are wanted
        except NotADirectoryError:
            content = set()
        except OSError:
            content = _SCRATCH_CONTENT
        if not content <= _SCRATCH_CONTENT:
            continue
        keep = _future(measured.changed) if in_future else ""
        if not keep and "old" in content and not os.path.lexists(target):
            keep = f"it may hold the only copy of {target}"
        why = f"a killed command left it on {_day(measured.changed)}"
        size = 0 if keep else measured.size
        yield Candidate(kind="scratch", path=path, why=why, size=size, keep=keep)


def find_cache_entries(
    cache: Path, *, older_than: float | None, limit: int | None, now: float
) -> Iterator[Candidate]:
    """Yield the entries that no run used for ``older_than`` seconds, or that exceed ``limit``.

    Entries used longest ago go first, until the others take at most ``limit`` bytes. Raises
    :class:`ConfigurationError` for a directory that is not a cache.
    """
    entries = sorted(dataset_cache.entries(cache), key=lambda entry: entry.used)
    _check_tag(cache, entries, "download-dataset")
    total = sum(entry.size for entry in entries)
    for entry in entries:
        used = entry.used.timestamp()
        why = f"not used since {_day(used)}"
        excess = limit is not None and total > limit
        old = older_than is not None and now - used >= older_than
        if used > now + _SKEW:
            yield Candidate(kind="cache", path=entry.path, why=why, keep=_future(used))
        elif old or excess:
            total -= entry.size
            size = sum(removal.measure(path).size for path in (entry.path, entry.part))
            yield Candidate(kind="cache", path=entry.path, why=why, size=size, entry=entry)


def find_environments(cache: Path, *, older_than: float, now: float) -> Iterator[Candidate]:
    """Yield the environments of tests that no run used for ``older_than`` seconds.

    Raises :class:`ConfigurationError` for a directory that is not a cache.
    """
    entries = list(environment_cache.entries(cache))
    _check_tag(cache, entries, "environments")
    for entry in entries:
        why = f"not used since {_day(entry.used)}"
        if entry.used > now + _SKEW:
            keep = _future(entry.used)
            yield Candidate(kind="environment", path=entry.path, why=why, keep=keep)
        elif now - entry.used >= older_than:
            size = removal.measure(entry.path).size
            yield Candidate(kind="environment", path=entry.path, why=why, size=size, entry=entry)


def _check_tag(cache: Path, entries: Sequence[object], what: str) -> None:
    if entries and not (cache / cache_directory.TAG).is_file():
        raise ConfigurationError(
            f"{cache} has no {cache_directory.TAG}: it is not a cache of {what}; "
            "nothing was removed there"
        )


def _children(directory: Path) -> list[Path]:
    """Return what is in ``directory`` except links; nothing if it was removed meanwhile."""
    with atomic_files.explaining(f"cannot look into {directory}"), suppress(FileNotFoundError):
        return sorted(path for path in directory.iterdir() if not path.is_symlink())
    return []


def _future(moment: float) -> str:
    return f"it is from the future ({_time(moment)}): is the clock right?"


def _day(moment: float) -> str:
    return _time(moment).partition("T")[0]


def _time(moment: float) -> str:
    try:
        return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError):  # a broken mtime
        return f"{moment:g} s"
