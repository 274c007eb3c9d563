"""Find a file that a user names by its repository: ``notebooks:PATH``, ``tests:PATH``, ...

The checkouts of a run lie beside each other in one directory, under the names that the Pipelines
give them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from stepkit.errors import ConfigurationError, Reason
from stepkit.system import atomic_files

# The directory of each checkout, by the name of its repository.
DIRECTORIES: Final = {"notebooks": "source", "tests": "tests", "config": "config"}

_NAMED: Final = re.compile(rf"({'|'.join(DIRECTORIES)}):(.*)", re.DOTALL)


def is_named(path: str) -> bool:
    """Return whether ``path`` begins with the name of a repository."""
    return _NAMED.fullmatch(path) is not None


def find(path: Path, checkouts: Path | None, *, notebooks_first: bool = False) -> Path:
    """Return where the file ``path`` is, which may begin with the name of a repository.

    A relative path without a name is one from the working directory or, where no file is there,
    from the checkout of the notebooks; with ``notebooks_first`` the other way round. One that is
    nowhere is returned as it is. ``checkouts`` is the directory that holds the checkouts. Raises
    :class:`ConfigurationError` for a file that is missing in the named repository, or outside of
    the repository that it is looked up in.
    """
    if named := _NAMED.fullmatch(str(path)):
        return _in_repository(path, named[1], named[2], checkouts)
    if checkouts is None or path.is_absolute() or (not notebooks_first and os.path.lexists(path)):
        return path
    source = checkouts / DIRECTORIES["notebooks"]
    if not os.path.lexists(source / path):
        return path
    return inside(source, str(path), f"{path} in the notebooks' repository")


def names_of(path: Path, checkouts: Path | None) -> list[str]:
    """Return the names, such as ``tests:PATH``, of the files in ``checkouts`` that ``path`` is."""
    if checkouts is None or path.is_absolute():
        return []
    places = {name: checkouts / directory for name, directory in DIRECTORIES.items()}
    return [
        f"{name}:{path}"
        for name, place in places.items()
        if holds(place, place / path) and (place / path).is_file()
    ]


def of_path(path: Path, checkouts: Path | None) -> Path | None:
    """Return the checkout in ``checkouts`` in which ``path`` lies by its name, None if in none."""
    places = [checkouts / name for name in DIRECTORIES.values()] if checkouts else []
    whole = os.path.abspath(path)  # noqa: PTH100 - without following links
    return next((place for place in places if Path(whole).is_relative_to(place.absolute())), None)


def inside(checkout: Path, path: str, shown: str) -> Path:
    """Return ``checkout / path``, unless it or a link in it leads out of the checkout.

    Raises :class:`ConfigurationError`, in which ``shown`` names the file.
    """
    real, root = os.path.realpath(checkout / path), os.path.realpath(checkout)
    if not holds(checkout, checkout / path):
        out = os.path.relpath(real, root)
        raise ConfigurationError(
            f"{shown} leads out of its repository, to {out}: name a file of the repository"
        )
    return checkout / path


def holds(checkout: Path, path: Path) -> bool:
    """Return whether ``path``, whatever links lead to it, is a file of the checkout."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(checkout))


def _in_repository(path: Path, name: str, rest: str, checkouts: Path | None) -> Path:
    if checkouts is None:
        raise ConfigurationError(
            f"{path} is a file of the repository {name!r}: say where its checkout is, in DIR/"
            f"{DIRECTORIES[name]}, with --checkouts DIR"
        )
    checkout = checkouts / DIRECTORIES[name]
    if not checkout.is_dir():
        raise ConfigurationError(
            f"{path}: the repository {name!r} was not cloned to {checkout}: give its address "
            f"(param {name}-url), or take a file of another repository",
            reason=Reason.NOT_FOUND,
        )
    found = inside(checkout, rest, str(path)) if rest else checkout
    if found.is_dir():
        raise ConfigurationError(f"{path} is a directory, {found.absolute()}: name a file in it")
    if not found.is_file():
        near = atomic_files.near_names(found)
        raise ConfigurationError(
            f"there is no file {path}{near}: it is not {found.absolute()}", reason=Reason.NOT_FOUND
        )
    return found
