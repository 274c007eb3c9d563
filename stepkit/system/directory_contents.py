"""What is in a directory: the SHA-256 of every file, by its path there."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit.formats import sizes
from stepkit.system import atomic_files, scratch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

MOST_FILES: Final = 100_000
MOST_BYTES: Final = 64 << 30
# Derived from other files, and with times in them; in .git, how the commit came there.
_LEFT_OUT: Final = {".git", "__pycache__", ".ipynb_checkpoints", ".pytest_cache"}
_THREADS: Final = 4


class TooMuchError(Exception):
    """A directory has more than can be read in a reasonable time, or leads out of itself."""


@dataclass(frozen=True)
class File:
    """One file: ``stamp`` changes with its content, ``what`` says what it is besides its bytes."""

    stamp: tuple[int, ...]
    what: str
    size: int
    sha256: str


def read(
    directory: Path,
    *,
    before: Mapping[str, File] | None = None,
    suffixes: Collection[str] = (),
    most: int = MOST_BYTES,
) -> dict[str, File]:
    """Return the files in ``directory`` by their paths there, those with ``suffixes`` if any.

    What did not change since ``before`` is not read again. Git's own files, caches and scratch are
    left out. Raises :class:`OSError`, and :class:`TooMuchError` for more than ``most`` bytes to
    read.
    """
    earlier = before or {}
    found: dict[str, File] = {}
    changed: list[tuple[str, str, os.stat_result]] = []
    total = 0
    for name, what, known in _walk(directory, suffixes):
        stamp = _stamp(known)
        if name in earlier and (earlier[name].stamp, earlier[name].what) == (stamp, what):
            found[name] = earlier[name]
            continue
        changed.append((name, what, known))
        total += known.st_size
        if total > most:
            raise TooMuchError(f"{directory} has more than {sizes.spell(most)} of files to read")
        if len(changed) > MOST_FILES:
            raise TooMuchError(f"{directory} has more than {MOST_FILES} files")
    with ThreadPoolExecutor(_THREADS) as pool:
        digests = pool.map(lambda item: _digest(directory / item[0], item[2]), changed)
        for (name, what, known), digest in zip(changed, digests, strict=True):
            found[name] = File(_stamp(known), what, known.st_size, digest)
    return dict(sorted(found.items()))


def digest(contents: Mapping[str, File]) -> str:
    """Return one SHA-256 over names and contents."""
    rows = [[name, file.what, file.sha256] for name, file in contents.items()]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _walk(directory: Path, suffixes: Collection[str]) -> Iterator[tuple[str, str, os.stat_result]]:
    """Yield path, kind and status of each entry that counts; a link counts as what it leads to."""

    def refuse(error: OSError) -> None:
        raise error

    inside = os.path.realpath(directory)
    for folder, folders, names in os.walk(directory, onerror=refuse):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        folders[:] = [name for name in folders if name not in _LEFT_OUT and name not in links]
        for name in [*names, *links]:
            path = Path(folder, name)
            if scratch.is_scratch(name) or name in _LEFT_OUT:
                continue
            if suffixes and path.suffix.lower() not in suffixes:
                continue
            known, what = path.lstat(), ""
            if stat.S_ISLNK(known.st_mode):
                what = f"link to {path.readlink()}"
                target = Path(os.path.realpath(path))
                if not target.is_relative_to(inside) and target.is_dir():
                    raise TooMuchError(f"{path} is a link to a directory outside of {directory}")
                if target.is_file():
                    known = target.stat()
            elif known.st_mode & stat.S_IXUSR:
                what = "executable"
            yield str(path.relative_to(directory)), what, known


def _stamp(known: os.stat_result) -> tuple[int, ...]:
    return known.st_ino, known.st_size, known.st_mtime_ns, known.st_ctime_ns


def _digest(path: Path, known: os.stat_result) -> str:
    return atomic_files.sha256(path) if stat.S_ISREG(known.st_mode) else ""
