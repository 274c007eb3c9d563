"""Git LFS: large files that a repository holds as pointers."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError
from stepkit.git import commands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.git.environment import Access

logger = logging.getLogger(__name__)

# git-lfs, docs/spec.md: "must be less than 1024 bytes", and begins so.
_LARGEST_POINTER: Final = 1024
_POINTER: Final = b"version https://git-lfs.github.com/spec/v1\n"
_AT_ONCE: Final = 200  # names of at most 4096 bytes each; a command line takes 2 MiB


def installed() -> bool:
    """Tell whether there is a git-lfs to run."""
    return shutil.which("git-lfs") is not None


def check_files(access: Access, checkout: Path) -> None:
    """Fail when a file of the checkout, or of a submodule, is still a pointer to what it holds.

    Raises :class:`ConfigurationError`.
    """
    for repository, names in _pointers(checkout):
        found = list(_kept_in_lfs(access, repository, names))
        if not found:
            continue
        name = os.path.relpath(repository / found[0], checkout)
        many = f"{len(found)} files such as {name} are" if len(found) > 1 else f"{name} is"
        if access.lfs:
            raise ConfigurationError(f"{many} still a pointer to Git LFS after the checkout")
        raise ConfigurationError(
            f"{many} kept in Git LFS, and there is no git-lfs on PATH: install it "
            "(apt-get install git-lfs), or take the pointers alone with --lfs false"
        )


def _kept_in_lfs(access: Access, repository: Path, names: list[str]) -> Iterator[str]:
    for start in range(0, len(names), _AT_ONCE):
        ask = ["check-attr", "-z", "filter", "--", *names[start : start + _AT_ONCE]]
        told = commands.call(*ask, cwd=repository, timeout=access.timeout).split("\0")
        yield from (
            name for name, value in zip(told[::3], told[2::3], strict=False) if value == "lfs"
        )


def _pointers(checkout: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield each repository of the checkout and the names of its files that look like pointers."""
    repositories = [checkout]
    while repositories:
        repository = repositories.pop()
        names = []
        for folder, folders, there in os.walk(repository):
            here = Path(folder)
            inner = [name for name in folders if (here / name / ".git").is_file()]
            repositories += [here / name for name in inner]
            folders[:] = [name for name in folders if name not in {".git", *inner}]
            names += [str((here / n).relative_to(repository)) for n in there if _looks(here / n)]
        if names:
            yield repository, names


def _looks(path: Path) -> bool:
    if path.is_symlink() or path.stat().st_size >= _LARGEST_POINTER or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_POINTER)) == _POINTER
