"""Put a new checkout into a directory that itself must stay, such as a mount point.

The new checkout is made inside the directory, in :data:`PLACE`. Then entry after entry is moved,
the old entries away first, and a journal says what is moved where: after a kill at any moment the
next run restores the old state, or keeps the new one if all was moved. While entries are moved,
another process may see some old and some new ones.
"""

from __future__ import annotations

import errno
import json
import logging
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError, ToolError
from stepkit.system import atomic_files, backup_names, locks, os_errors, removal
from stepkit.system.sync_file_system import sync_file_system

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

PLACE: Final = ".stepkit-git-clone"  # in the directory, while a run is at work
_JOURNAL: Final = "journal.json"
_OF_THE_FILE_SYSTEM: Final = {"lost+found", ".snapshot", ".snapshots", ".zfs"}


@dataclass(frozen=True, kw_only=True)
class Moves:
    """Which entries of a directory go, and which come; as paths relative to it.

    The old entries are kept as ``backup``, which is on the same file system, or removed if it is
    None.
    """

    out: tuple[str, ...]
    into: tuple[str, ...]
    backup: Path | None = None


def permanent(directory: Path) -> frozenset[str]:
    """Return the entries of ``directory`` that never belong to a checkout and always stay."""
    with atomic_files.explaining(f"cannot read {directory}"):
        return frozenset(
            path.name
            for path in directory.iterdir()
            if path.name in {PLACE, *_OF_THE_FILE_SYSTEM} or backup_names.is_backup(path)
        )


def replaceable(directory: Path) -> tuple[str, ...]:
    """Return the names of all other entries."""
    return tuple(sorted({path.name for path in directory.iterdir()} - permanent(directory)))


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Let one process at a time into the block, by a lock inside of ``directory``.

    What a killed run left is undone or finished first. Raises :class:`StepError` when that fails.
    """
    place = directory / PLACE
    lock = None
    while lock is None:
        with atomic_files.explaining(f"cannot lock {directory}"):
            _make_place(place)
            with suppress(FileNotFoundError):  # its last user has removed the directory
                lock = locks.acquire(place / "lock")
    try:
        recover(directory)
        yield
    finally:
        _remove_place(place)
        os.close(lock)


def recover(directory: Path) -> None:
    """Finish or undo what a killed run left in ``directory``.

    The caller must hold the lock. Raises :class:`StepError` when that is not possible.
    """
    place = directory / PLACE
    if place.is_symlink():
        raise ConfigurationError(f"{place} is a symbolic link: remove it and run again")
    with atomic_files.explaining(f"cannot read {place}"):
        runs = [path for path in place.iterdir() if path.is_dir()] if place.is_dir() else []
    for run in sorted(runs):
        if (run / _JOURNAL).is_file():
            journal = _read_journal(run / _JOURNAL)
            if journal["moved"]:
                _keep_backup(run, journal)
            else:
                logger.warning("an earlier run was killed in %s: it is put back", directory)
                _undo(directory, run, journal)
            (run / _JOURNAL).unlink()
        _remove(run)
    if not (place / "lock").exists():
        _remove_place(place)


@contextmanager
def scratch(directory: Path) -> Iterator[Path]:
    """Yield an empty directory for the new checkout, for :func:`move` during the block."""
    with atomic_files.explaining(f"cannot make a directory in {directory}"):
        _make_place(directory / PLACE)
        run = Path(mkdtemp(prefix="run-", dir=directory / PLACE))
    try:
        new = run / "new"
        new.mkdir()
        yield new
    finally:
        if not (run / _JOURNAL).exists():
            _remove(run)
        if not (directory / PLACE / "lock").exists():
            _remove_place(directory / PLACE)


def move(directory: Path, new: Path, moves: Moves) -> None:
    """Move the entries as ``moves`` says; on any failure, put everything back.

    Raises :class:`StepError`, which names what cannot be moved.
    """
    run = new.parent
    (run / "old").mkdir()
    journal: dict[str, Any] = {
        "moved": False,
        "out": moves.out,
        "into": moves.into,
        "backup": str(moves.backup or ""),
    }
    with atomic_files.explaining(f"cannot write {new}"):
        sync_file_system(new)
    _write_journal(run, journal)
    try:
        for name in moves.out:
            (run / "old" / name).parent.mkdir(parents=True, exist_ok=True)
            _rename(directory / name, run / "old" / name)
        for name in moves.into:
            _rename(new / name, directory / name)
        atomic_files.sync(directory)
        _write_journal(run, journal | {"moved": True})
    except BaseException:
        _undo(directory, run, journal)
        (run / _JOURNAL).unlink()
        raise
    _keep_backup(run, journal)
    (run / _JOURNAL).unlink()


def _make_place(place: Path) -> None:
    with suppress(FileExistsError):  # exist_ok would check it again when it may be gone already
        place.mkdir()
    if place.is_symlink():
        raise ConfigurationError(f"{place} is a symbolic link: remove it and run again")


def _write_journal(run: Path, journal: dict[str, Any]) -> None:
    atomic_files.write_atomically(run / _JOURNAL, json.dumps(journal))
    atomic_files.sync(run)


def _read_journal(path: Path) -> dict[str, Any]:
    """Return a journal; refuse a file that is not one, or that leads out of its directory."""
    try:
        journal: dict[str, Any] = json.loads(path.read_text())
        names = [*journal["out"], *journal["into"]]
        valid = isinstance(journal["moved"], bool) and isinstance(journal["backup"], str)
        valid &= not any(name.startswith("/") or ".." in name.split("/") for name in names)
    except (ValueError, KeyError, TypeError, AttributeError):
        valid = False
    if not valid:
        raise ConfigurationError(f"{path} was not written by stepkit: remove it")
    return journal


def _undo(directory: Path, run: Path, journal: dict[str, Any]) -> None:
    """Move back what was moved; other entries are still in their places."""
    for name in reversed(journal["into"]):
        new, place = run / "new" / name, directory / name
        if os.path.lexists(place) and not os.path.lexists(new):
            _rename(place, new)
    for name in reversed(journal["out"]):
        old, place = run / "old" / name, directory / name
        if os.path.lexists(old):
            if os.path.lexists(place):
                raise ConfigurationError(
                    f"{place} was made while its older version was in {old}, where a killed run "
                    "left it: remove one of the two and run again"
                )
            _rename(old, place)


def _keep_backup(run: Path, journal: dict[str, Any]) -> None:
    """Move the old entries to the backup, if they are to be kept and are not there yet."""
    old, backup = run / "old", journal["backup"]
    if backup and old.is_dir() and not os.path.lexists(backup):
        _rename(old, Path(backup))


def _rename(source: Path, target: Path) -> None:
    """Rename, or raise a :class:`StepError` that says what prevents it."""
    try:
        source.rename(target)
    except OSError as error:
        what = f"cannot move {source}"
        if error.errno == errno.EBUSY:
            raise ConfigurationError(
                f"{what}: something is mounted there: name another directory"
            ) from error
        if error.errno in {errno.EACCES, errno.EPERM}:
            owner = source.lstat()
            raise ConfigurationError(
                f"{what}: it belongs to uid {owner.st_uid} (mode {owner.st_mode & 0o7777:o}), "
                f"and this is uid {os.getuid()}: run all tasks with one uid or fsGroup, "
                "or name another directory"
            ) from error
        raise os_errors.explain(what, error) from error


def _remove(run: Path) -> None:
    """Remove a run's directory; log what cannot be removed, which the next run tries again."""
    try:
        removal.remove(run)
    except ToolError as error:
        logger.warning("%s", error)


def _remove_place(place: Path) -> None:
    try:
        if not [path for path in place.iterdir() if path.name != "lock"]:
            (place / "lock").unlink(missing_ok=True)
            place.rmdir()
    except OSError:  # another run waits there, or it belongs to another user
        logger.debug("%s stays", place)
