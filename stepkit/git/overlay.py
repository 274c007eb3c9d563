"""Lay a new checkout over a directory: what the repository does not have stays where it is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stepkit.git import skip_unchanged, swap_contents
from stepkit.git.swap_contents import Moves

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def moves(directory: Path, new: Path, backup: Path) -> Moves:
    """Return what must be moved so that ``directory`` holds all of ``new``, and what it had else.

    Files of the older commit that the new one does not have go. All that goes is kept as
    ``backup`` unless it is an older checkout's own and unchanged.
    """
    ours = skip_unchanged.made_by_stepkit(directory)
    of_before = skip_unchanged.tracked(directory) if ours else frozenset()
    into, out = [], []
    for name in _differing(directory, new, ""):
        into.append(name)
        if os.path.lexists(directory / name):
            out.append(name)
    gone = sorted(name for name in of_before if not os.path.lexists(new / name))
    out += [name for name in gone if _is_there(directory, name, out)]
    beside = swap_contents.beside(directory)
    keep = bool(out) and (
        not all(_is_of(of_before, name) for name in out)
        or skip_unchanged.changed(directory, beside=beside, untracked=False)
    )
    return Moves(out=tuple(out), into=tuple(into), backup=backup if keep else None)


def _differing(directory: Path, new: Path, within: str) -> Iterator[str]:
    """Yield what of ``new`` is moved as a whole: what is no directory on both sides."""
    for entry in sorted(os.scandir(new / within), key=lambda entry: entry.name):
        name = os.path.join(within, entry.name)  # noqa: PTH118 - keeps "a" free of "./"
        there = directory / name
        both = entry.is_dir(follow_symlinks=False) and there.is_dir() and not there.is_symlink()
        if both and entry.name != ".git":
            yield from _differing(directory, new, name)
        else:
            yield name


def _is_of(tracked: frozenset[str], name: str) -> bool:
    """Tell whether the older checkout brought ``name``; of a submodule it brought all."""
    return name == ".git" or name in tracked or not tracked.isdisjoint(_above(name))


def _above(name: str) -> set[str]:
    parts = name.split("/")
    return {"/".join(parts[:end]) for end in range(1, len(parts))}


def _is_there(directory: Path, name: str, out: list[str]) -> bool:
    above = _above(name)
    if above & set(out) or any((directory / one).is_symlink() for one in above):
        return False
    place = directory / name
    return os.path.lexists(place) and (place.is_symlink() or not place.is_dir())
