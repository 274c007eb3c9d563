"""Put a new checkout into a directory that itself must stay: a mount point, say.

The new one is made inside the directory, in :data:`PLACE`. Then entry after entry is moved, the
old ones away first, under a journal that says what is moved where: whoever comes after a killed
run finds the old state again, or the new one if all was moved. While entries are moved, another
process may see some old and some new ones.
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

from stepkit.errors import ConfigurationError, StepError, ToolError
from stepkit.system import atomic_files, backups, locks, removal

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

PLACE: Final = ".stepkit-git-clone"  # in the directory, while a run is at work
_JOURNAL: Final = "journal.json"
_OF_THE_FILE_SYSTEM: Final = {"lost+found", ".snapshot", ".snapshots", ".zfs"}


@dataclass(frozen=True, kw_only=True)
class Moves:
    """Which entries of a directory go, and which come; as paths relative to it.

    The old ones are kept as ``backup``, which is on the same file system; removed if it is None.
    """

    out: tuple[str, ...]
    into: tuple[str, ...]
    backup: Path | None = None


def beside(directory: Path) -> frozenset[str]:
    """Return the entries that never belong to a checkout at ``directory`` and always stay."""
    with atomic_files.explaining(f"cannot read {directory}"):
        return frozenset(
            path.name
            for path in directory.iterdir()
            if path.name in {PLACE, *_OF_THE_FILE_SYSTEM} or backups.is_backup(path)
        )


def everything(directory: Path) -> tuple[str, ...]:
    """Return the names of all other entries."""
    return tuple(sorted({path.name for path in directory.iterdir()} - beside(directory)))


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Let one process at a time into the block, by a lock inside of ``directory``.

    What a killed run left is put in order first. Raises :class:`StepError` when that fails.
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

    Only the holder of the lock may do so. Raises :class:`StepError` when that is not possible.
    """
    place = directory / PLACE
    if place.is_symlink():
        raise ConfigurationError(f"{place} is a symbolic link: remove it and run again")
    with atomic_files.explaining(f"cannot read {place}"):
        runs = [path for path in place.iterdir() if path.is_dir()] if place.is_dir() else []
    for run in sorted(runs):
        journal = run / _JOURNAL
        if journal.is_file():
            written = _read(journal)
            if written["moved"]:
                _keep(run, written)
            else:
                logger.warning("an earlier run was killed in %s: it is put back", directory)
                _undo(directory, run, written)
            journal.unlink()
        _remove(run)
    if not (place / "lock").exists():
        _remove_place(place)


@contextmanager
def scratch(directory: Path) -> Iterator[Path]:
    """Yield an empty directory for the new checkout, for :func:`move` inside of the block."""
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
    written: dict[str, Any] = {
        "moved": False,
        "out": moves.out,
        "into": moves.into,
        "backup": str(moves.backup or ""),
    }
    _write(run, written)
    try:
        for name in moves.out:
            (run / "old" / name).parent.mkdir(parents=True, exist_ok=True)
            _rename(directory / name, run / "old" / name)
        for name in moves.into:
            _rename(new / name, directory / name)
        atomic_files.sync(directory)
        _write(run, written | {"moved": True})
    except BaseException:
        _undo(directory, run, written)
        (run / _JOURNAL).unlink()
        raise
    _keep(run, written)
    (run / _JOURNAL).unlink()


def _make_place(place: Path) -> None:
    with suppress(FileExistsError):  # not exist_ok: it looks again, and another run may remove it
        place.mkdir()
    if place.is_symlink():
        raise ConfigurationError(f"{place} is a symbolic link: remove it and run again")


def _write(run: Path, written: dict[str, Any]) -> None:
    atomic_files.write_atomically(run / _JOURNAL, json.dumps(written))
    atomic_files.sync(run)


def _read(journal: Path) -> dict[str, Any]:
    """Return what a journal says; one that leads out of its directory is no journal of ours."""
    try:
        written: dict[str, Any] = json.loads(journal.read_text())
        names = [*written["out"], *written["into"]]
        ours = isinstance(written["moved"], bool) and isinstance(written["backup"], str)
        ours &= not any(name.startswith("/") or ".." in name.split("/") for name in names)
    except (ValueError, KeyError, TypeError, AttributeError):
        ours = False
    if not ours:
        raise ConfigurationError(f"{journal} was written by somebody else: remove it")
    return written


def _undo(directory: Path, run: Path, written: dict[str, Any]) -> None:
    """Move back what was moved; what was not is where it belongs."""
    for name in reversed(written["into"]):
        new, place = run / "new" / name, directory / name
        if os.path.lexists(place) and not os.path.lexists(new):
            _rename(place, new)
    for name in reversed(written["out"]):
        old, place = run / "old" / name, directory / name
        if os.path.lexists(old):
            if os.path.lexists(place):
                raise ConfigurationError(
                    f"{place} was made while its older version was in {old}, where a killed run "
                    "left it: remove one of the two and run again"
                )
            _rename(old, place)


def _keep(run: Path, written: dict[str, Any]) -> None:
    """Move the old entries to the backup, if they are to be kept and are not there yet."""
    old, backup = run / "old", written["backup"]
    if backup and old.is_dir() and not os.path.lexists(backup):
        _rename(old, Path(backup))


def _rename(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        raise _refusal(source, error) from error


def _refusal(path: Path, error: OSError) -> StepError:
    what = f"cannot move {path}"
    if error.errno == errno.EBUSY:
        return ConfigurationError(f"{what}: something is mounted there: name another directory")
    if error.errno in {errno.EACCES, errno.EPERM}:
        owner = path.lstat()
        return ConfigurationError(
            f"{what}: it belongs to uid {owner.st_uid} (mode {owner.st_mode & 0o7777:o}), "
            f"and this is uid {os.getuid()}: run all tasks with one uid or fsGroup, "
            "or name another directory"
        )
    return atomic_files.os_error(what, error)


def _remove(run: Path) -> None:
    """Remove a run's directory, or say what cannot be removed: the next run tries again."""
    try:
        removal.remove(run)
    except ToolError as error:
        logger.warning("%s", error)


def _remove_place(place: Path) -> None:
    try:
        if not [path for path in place.iterdir() if path.name != "lock"]:
            (place / "lock").unlink(missing_ok=True)
            place.rmdir()
    except OSError:  # another run waits there, or it is not ours to remove
        logger.debug("%s stays", place)
