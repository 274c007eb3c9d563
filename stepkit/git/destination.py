"""Put a new checkout in the place of a directory, or into a directory that itself must stay."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stepkit.errors import ConfigurationError
from stepkit.git import local_changes, plan_moves, swap_contents
from stepkit.system import atomic_files, backup_names, locks, scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Place:
    """The directory for a checkout, and whether its present content is replaced.

    ``delete_existing`` false keeps the files that the repository does not have.
    """

    destination: Path
    delete_existing: bool = True

    @property
    def fixed(self) -> bool:
        """Whether the directory itself must stay: it is mounted, or a process runs in it."""
        path = self.destination
        return atomic_files.is_mount_point(path) or (path.is_dir() and path.samefile("."))

    @property
    def inside_only(self) -> bool:
        """Whether lock and backups are in the directory, because nothing can be beside it."""
        parent = self.destination.parent
        mounted = atomic_files.is_mount_point(self.destination)
        return self.fixed and (mounted or not os.access(parent, os.W_OK))


@contextmanager
def prepared(place: Place) -> Iterator[None]:
    """Check that a checkout may go there, and keep other runs away during the block.

    Raises :class:`ConfigurationError` if other work would be replaced.
    """
    destination = place.destination
    if destination.is_symlink():
        raise ConfigurationError(f"{destination} is a symbolic link: name the directory itself")
    if destination.exists() and not destination.is_dir():
        raise ConfigurationError(f"{destination} is a file: name a directory for the checkout")
    if destination == destination.parent:
        raise ConfigurationError("/ is the root of all files: name a directory for the checkout")
    if not (destination / swap_contents.PLACE).exists():  # else a killed run is undone first
        _check_replaceable(place)
    lock = destination.with_name(f".{destination.name}.lock")
    with swap_contents.locked(destination) if place.inside_only else locks.locked(lock):
        if destination.is_dir():
            swap_contents.recover(destination)
        _check_replaceable(place)
        yield


def fill(place: Place, fetch: Callable[[Path, Path | None], str]) -> tuple[str, Path | None]:
    """Have ``fetch`` fill an empty directory, and move that to the destination.

    ``fetch`` gets the directory, and the older checkout if its objects may be reused; it returns
    the commit. If it raises, the destination stays as it was. Returns the commit, and the backup
    of older work if there was any. Raises a :class:`StepError` for what cannot be moved.
    """
    destination, backup = place.destination, backup_names.path_for(place.destination)
    if place.inside_only:
        backup = destination / backup.name
    keep_files = not place.delete_existing and _is_filled(destination)
    if keep_files or place.fixed:
        with swap_contents.scratch(destination) as new:
            have = destination if keep_files and local_changes.usable(destination) else None
            commit = fetch(new, have)
            _check_names(new)
            plan = plan_moves.keep_other_files if keep_files else plan_moves.replace_all
            swap_contents.move(destination, new, plan(destination, new, backup))
    else:
        scratch.remove_of(destination)
        # It is examined again after the exchange, because the fetch takes a while.
        keep = local_changes.has_changes
        with atomic_files.replacing(destination, backup=backup, keep=keep) as new:
            commit = fetch(new, None)
            _check_names(new)
        if rest := scratch.of(destination):
            owner = rest[0].stat().st_uid
            logger.warning("cannot remove %s, or files in it (of uid %d)", rest[0], owner)
    kept = backup if os.path.lexists(backup) else None
    if kept:
        logger.warning("the older checkout had changes: kept as %s", kept)
    return commit, kept


def _check_names(new: Path) -> None:
    """Refuse a repository with a directory that a later run would take for stepkit's own."""
    if os.path.lexists(new / swap_contents.PLACE):
        raise ConfigurationError(f"the repository holds {swap_contents.PLACE}, which is stepkit's")


def _check_replaceable(place: Place) -> None:
    destination = place.destination
    if not place.delete_existing or not _is_filled(destination, fixed=place.fixed):
        return
    if local_changes.made_by_stepkit(destination):
        return
    if place.fixed and (destination / ".git").exists():  # it is kept as a backup
        return
    hint = "keep it with --delete-existing false, " if place.fixed else ""
    raise ConfigurationError(
        f"{destination} holds work that is not a checkout made by stepkit: "
        f"not replacing it; {hint}name another directory or move it away"
    )


def _is_filled(directory: Path, *, fixed: bool = False) -> bool:
    if not directory.is_dir():
        return False
    with atomic_files.explaining(f"cannot read {directory}"):
        return any(swap_contents.replaceable(directory) if fixed else directory.iterdir())
