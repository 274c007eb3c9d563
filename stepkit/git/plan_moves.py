"""Decide which entries of a directory a new checkout replaces, and which of them are kept."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stepkit.git import local_changes, swap_contents
from stepkit.git.swap_contents import Moves

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def replace_all(directory: Path, new: Path, backup: Path) -> Moves:
    """Return the moves that replace the whole content of ``directory`` with that of ``new``.

    The old content is kept as ``backup`` if it may have been changed.
    """
    old = swap_contents.replaceable(directory)
    permanent = swap_contents.permanent(directory)
    keep = bool(old) and local_changes.has_changes(directory, ignore=permanent)
    into = tuple(sorted(path.name for path in new.iterdir()))
    return Moves(out=old, into=into, backup=backup if keep else None)


def keep_other_files(directory: Path, new: Path, backup: Path) -> Moves:
    """Return the moves after which ``directory`` has all of ``new``, and its other files still.

    Files of the older commit that the new one does not have are removed. What is removed or
    replaced is kept as ``backup`` unless it belongs to an older checkout and is unchanged.
    """
    ours = local_changes.made_by_stepkit(directory)
    tracked = local_changes.tracked_files(directory) if ours else frozenset()
    into = list(_entries_to_move(directory, new, ""))
    replaced = {name for name in into if os.path.lexists(directory / name)}
    removed = []
    for name in sorted(tracked):
        place, parents = directory / name, _parents(name)
        is_file = os.path.lexists(place) and (place.is_symlink() or not place.is_dir())
        if not is_file or os.path.lexists(new / name):
            continue
        if parents.isdisjoint(replaced) and not any((directory / p).is_symlink() for p in parents):
            removed.append(name)
    out = [*(name for name in into if name in replaced), *removed]
    # An older checkout has made .git, its files, and all that is in its submodules.
    of_checkout = all(
        name == ".git" or name in tracked or not tracked.isdisjoint(_parents(name)) for name in out
    )
    permanent = swap_contents.permanent(directory)
    keep = bool(out) and (
        not of_checkout or local_changes.has_changes(directory, ignore=permanent, untracked=False)
    )
    return Moves(out=tuple(out), into=tuple(into), backup=backup if keep else None)


def _entries_to_move(directory: Path, new: Path, within: str) -> Iterator[str]:
    """Yield the entries of ``new`` that are moved whole: all but directories on both sides."""
    for entry in sorted(os.scandir(new / within), key=lambda entry: entry.name):
        name = os.path.join(within, entry.name)  # noqa: PTH118 - does not put "./" before a name
        place = directory / name
        both = entry.is_dir(follow_symlinks=False) and place.is_dir() and not place.is_symlink()
        if both and entry.name != ".git":
            yield from _entries_to_move(directory, new, name)
        else:
            yield name


def _parents(name: str) -> set[str]:
    parts = name.split("/")
    return {"/".join(parts[:end]) for end in range(1, len(parts))}
