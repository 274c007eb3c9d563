"""Where a checkout goes: in the place of a directory, or into one that must stay itself."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stepkit.errors import ConfigurationError
from stepkit.git import overlay as git_overlay
from stepkit.git import skip_unchanged, swap_contents
from stepkit.system import atomic_files, backups, locks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Place:
    """The directory for a checkout, and what becomes of what stands there.

    ``delete_existing`` false keeps the files that the repository does not have.
    """

    destination: Path
    delete_existing: bool = True

    @property
    def fixed(self) -> bool:
        """Whether the directory itself must stay: it is mounted, or a process runs in it."""
        path = self.destination
        return atomic_files.is_mount_point(path) or (path.is_dir() and path.samefile("."))


@contextmanager
def prepared(place: Place) -> Iterator[None]:
    """Check that a checkout may go there, and keep other runs away while the block runs.

    Raises :class:`ConfigurationError` for somebody's work.
    """
    _check_kind(place)
    if not (place.destination / swap_contents.PLACE).exists():  # of a killed run: looked at below
        _check_work(place)
    with _locked(place):
        if place.destination.is_dir():
            swap_contents.recover(place.destination)
        _check_work(place)
        yield


def fill(place: Place, fetch: Callable[[Path, Path | None], str]) -> tuple[str, Path | None]:
    """Have ``fetch`` fill an empty directory, and bring that to the destination.

    ``fetch`` gets the directory and the older checkout, if that is to be kept and built on, and
    returns the commit. If it raises, the destination stays as it was. Returns the commit, and
    where older work was kept, if there was any. Raises a :class:`StepError` for what cannot be
    moved.
    """
    destination, backup = place.destination, _backup_of(place)
    overlay = not place.delete_existing and _is_filled(destination)
    if overlay or place.fixed:
        with swap_contents.scratch(destination) as new:
            have = destination if overlay and skip_unchanged.usable(destination) else None
            commit = fetch(new, have)
            _check_names(new)
            swap_contents.move(destination, new, _moves(place, new, backup, overlay=overlay))
    else:
        atomic_files.remove_scratch(destination)
        with atomic_files.replacing(destination, backup=backup, keep=_holds_work) as new:
            commit = fetch(new, None)
            _check_names(new)
        _warn_of_rest(destination)
    kept = backup if os.path.lexists(backup) else None
    if kept:
        logger.warning("the older checkout had changes: kept as %s", kept)
    return commit, kept


def _moves(place: Place, new: Path, backup: Path, *, overlay: bool) -> swap_contents.Moves:
    destination = place.destination
    if overlay:
        return git_overlay.moves(destination, new, backup)
    old = swap_contents.everything(destination)
    beside = swap_contents.beside(destination)
    keep = bool(old) and skip_unchanged.changed(destination, beside=beside)
    into = tuple(sorted(path.name for path in new.iterdir()))
    return swap_contents.Moves(out=old, into=into, backup=backup if keep else None)


def _check_names(new: Path) -> None:
    """Refuse a repository with a directory that a later run would take for its own."""
    if os.path.lexists(new / swap_contents.PLACE):
        raise ConfigurationError(f"the repository holds {swap_contents.PLACE}, which is stepkit's")


@contextmanager
def _locked(place: Place) -> Iterator[None]:
    """Lock beside the directory, or inside of it where nothing can be written beside it."""
    destination = place.destination
    parent = destination.parent
    if place.fixed and (atomic_files.is_mount_point(destination) or not os.access(parent, os.W_OK)):
        with swap_contents.locked(destination):
            yield
    else:
        with locks.locked(parent / f".{destination.name}.lock"):
            yield


def _check_kind(place: Place) -> None:
    destination = place.destination
    if destination.is_symlink():
        raise ConfigurationError(f"{destination} is a symbolic link: name the directory itself")
    if destination.exists() and not destination.is_dir():
        raise ConfigurationError(f"{destination} is a file: name a directory for the checkout")
    if destination == destination.parent:
        raise ConfigurationError("/ is the root of all files: name a directory for the checkout")


def _check_work(place: Place) -> None:
    destination = place.destination
    if not place.delete_existing or not _is_filled(destination, fixed=place.fixed):
        return
    if skip_unchanged.made_by_stepkit(destination):
        return
    if place.fixed and (destination / ".git").exists():  # it is kept as a backup
        return
    hint = "keep it with --delete-existing false, " if place.fixed else ""
    raise ConfigurationError(
        f"{destination} holds somebody's work, no checkout made by stepkit: "
        f"not replacing it; {hint}name another directory or move it away"
    )


def _is_filled(directory: Path, *, fixed: bool = False) -> bool:
    if not directory.is_dir():
        return False
    with atomic_files.explaining(f"cannot read {directory}"):
        return any(swap_contents.everything(directory) if fixed else directory.iterdir())


def _holds_work(old: Path) -> bool:
    """Look again after the fetch, which took a while, and after the exchange."""
    if old.is_dir() and not old.is_symlink() and not _is_filled(old):
        return False
    return skip_unchanged.changed(old)


def _backup_of(place: Place) -> Path:
    """Return a name beside the destination, or inside of it where it can only be there."""
    destination = place.destination
    beside = backups.path_for(destination)
    inside = atomic_files.is_mount_point(destination) or not os.access(destination.parent, os.W_OK)
    return destination / beside.name if place.fixed and inside else beside


def _warn_of_rest(destination: Path) -> None:
    rest = list(destination.parent.glob(f".{destination.name}.stepkit-*"))
    if rest:
        owner = rest[0].stat().st_uid
        logger.warning("cannot remove %s, or files in it (of uid %d)", rest[0], owner)
