"""Git LFS: find files that a checkout has only as pointers."""

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

# docs/spec.md of git-lfs: a pointer begins so and "must be less than 1024 bytes".
_LARGEST_POINTER: Final = 1024
_POINTER: Final = b"version https://git-lfs.github.com/spec/v1\n"
_AT_ONCE: Final = 200  # names of at most 4096 bytes each; a command line takes 2 MiB


def installed() -> bool:
    """Return whether git-lfs is on PATH."""
    return shutil.which("git-lfs") is not None


def is_pointer(content: bytes) -> bool:
    """Return whether a file, of which ``content`` is the beginning, looks like a pointer."""
    return len(content) < _LARGEST_POINTER and content.startswith(_POINTER)


def check_files(access: Access, checkout: Path) -> None:
    """Fail if a file of the checkout, or of a submodule, still is a pointer to its content.

    Raises :class:`ConfigurationError`.
    """
    for repository, names in _find_pointers(checkout):
        found = []
        for start in range(0, len(names), _AT_ONCE):
            command = ["check-attr", "-z", "filter", "--", *names[start : start + _AT_ONCE]]
            fields = commands.run(*command, cwd=repository, timeout=access.timeout).split("\0")
            values = zip(fields[::3], fields[2::3], strict=False)
            found += [name for name, value in values if value == "lfs"]
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


def _find_pointers(checkout: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield each repository of the checkout and the names of its files that look like pointers."""
    repositories = [checkout]
    while repositories:
        repository = repositories.pop()
        pointers = []
        for folder, folders, names in os.walk(repository):
            here = Path(folder)
            submodules = [name for name in folders if (here / name / ".git").is_file()]
            repositories += [here / name for name in submodules]
            folders[:] = [name for name in folders if name not in {".git", *submodules}]
            for path in (here / name for name in names):
                small = not path.is_symlink() and path.stat().st_size < _LARGEST_POINTER
                if small and path.is_file():
                    with path.open("rb") as file:
                        if is_pointer(file.read(_LARGEST_POINTER)):
                            pointers.append(str(path.relative_to(repository)))
        if pointers:
            yield repository, pointers
