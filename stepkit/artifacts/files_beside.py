"""Find the files that notebooks wrote beside themselves, by patterns, and copy them."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from glob import has_magic
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError
from stepkit.formats import sizes
from stepkit.system import atomic_files, scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

DIRECTORY: Final = "files"  # in the artifacts

_MOST_ENTRIES: Final = 100_000  # files and directories that are looked at
_NEVER: Final = {".git", "__pycache__", ".ipynb_checkpoints", ".pytest_cache"}


@dataclass(frozen=True, kw_only=True)
class Search:
    """Where to look for files, and which of them count.

    ``left_out`` are files and directories that hold no results, such as datasets. Only a file that
    changed after ``since``, in nanoseconds of the file system's clock, counts.
    """

    directories: Sequence[Path]
    patterns: Sequence[str]
    left_out: Sequence[Path] = ()
    since: int = 0


@dataclass(kw_only=True)
class Found:
    """Files by their paths below ``files``, and those that matched but did not change since.

    ``unread`` says, in sentences, where not all could be looked at.
    """

    files: dict[str, Path] = field(default_factory=dict)
    older: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def find(search: Search) -> Found:
    """Return the regular files that match; no link is followed.

    A pattern is relative to each of the directories: ``*`` and ``?`` match within a name, ``**``
    any directories, and the name of a directory all below. None matches a name that begins with a
    dot unless it has that dot. Raises :class:`ConfigurationError` for a pattern that leads out.
    """
    patterns = [_split(pattern) for pattern in search.patterns]
    directories = sorted({Path(os.path.realpath(path)) for path in search.directories})
    shared = Path(os.path.commonpath(directories)) if directories else Path()
    left_out = {os.path.realpath(path) for path in search.left_out}
    found = Found()
    for directory in directories:
        for entry in _walk(directory, patterns, left_out, found.unread):
            with atomic_files.explaining(f"cannot read {entry.path}"):
                known = entry.stat(follow_symlinks=False)
            name = Path(entry.path).relative_to(shared).as_posix()
            if not stat.S_ISREG(known.st_mode):
                logger.warning("left out %s: it is not a regular file", name)
                continue
            if known.st_ctime_ns > search.since:
                found.files[name] = Path(entry.path)
            else:
                found.older.append(name)
    return found


def copy(files: dict[str, Path], artifacts: Path, most: int) -> list[str]:
    """Copy ``files`` to ``artifacts/files``, ``most`` bytes together; return those that do not fit.

    Raises :class:`~stepkit.errors.StepError` when one cannot be copied, or a link leads out of
    ``artifacts``.
    """
    refused, total = [], 0
    for name, path in sorted(files.items()):
        with atomic_files.explaining(f"cannot read {path}"):
            size = path.stat().st_size
        if total + size > most:
            refused.append(f"{name} ({sizes.spell(size, decimal=True)})")
            continue
        total += size
        target = artifacts / DIRECTORY / name
        if Path(os.path.realpath(target)) != Path(os.path.realpath(artifacts), DIRECTORY, name):
            raise ConfigurationError(f"cannot copy {path} to {target}: a link is there; remove it")
        atomic_files.copy_atomically(path, target)
    return refused


def _split(pattern: str) -> list[str]:
    parts = list(PurePosixPath(pattern).parts)
    if not parts or pattern.startswith("/") or ".." in parts:
        raise ConfigurationError(
            f"--files {pattern!r} leads out of the notebook's directory: with --beside, write "
            "patterns such as figures/*.png"
        )
    return parts


def _walk(
    directory: Path, patterns: list[list[str]], left_out: set[str], unread: list[str]
) -> Iterator[os.DirEntry[str]]:
    """Yield what matches, and look only into directories that a pattern can lead into."""
    stack = [(str(directory), [_ready({0}, pattern) for pattern in patterns])]
    seen = 0
    while stack:
        folder, states = stack.pop()
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            unread.append(f"{folder} cannot be read: {error.strerror}")
            continue
        seen += len(entries)
        if seen > _MOST_ENTRIES:
            unread.append(
                f"there are more than {_MOST_ENTRIES} files below {directory}: write patterns that "
                "lead into fewer directories"
            )
            return
        for entry in entries:
            if entry.name in _NEVER or entry.path in left_out or scratch.is_scratch(entry.name):
                continue
            after = [_after(*pair, entry.name) for pair in zip(states, patterns, strict=True)]
            if entry.is_dir(follow_symlinks=False):
                if any(after):
                    stack.append((entry.path, after))
            elif any(len(pattern) in state for state, pattern in zip(after, patterns, strict=True)):
                yield entry


def _after(places: set[int], pattern: list[str], name: str) -> set[int]:
    """Return the places in ``pattern`` that are reached from ``places`` by one more name."""
    reached = set()
    for place in places:
        part = pattern[place] if place < len(pattern) else ""
        if name.startswith(".") and not part.startswith("."):
            continue
        if part == "**" or (not part and not has_magic(pattern[-1])):
            reached.add(place)
        elif part and fnmatchcase(name, part):
            reached.add(place + 1)
    return _ready(reached, pattern)


def _ready(places: set[int], pattern: list[str]) -> set[int]:
    """Add the places behind ``**``, which may also stand for no name at all."""
    for place in sorted(places):
        while place < len(pattern) and pattern[place] == "**":
            place += 1  # noqa: PLW2901
            places.add(place)
    return places
