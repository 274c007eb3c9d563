"""Files that another task writes meanwhile: waited for, and told from an earlier run's."""

from __future__ import annotations

import logging
import os
import stat
import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

logger = logging.getLogger(__name__)

_POLL: Final = 0.5  # seconds between two looks


def await_files(
    paths: Iterable[Path], *, newer_than: Path | None, timeout: float
) -> tuple[Path, ...]:
    """Wait until all ``paths`` are there, at most ``timeout`` seconds; return those that are not.

    A file last written before ``newer_than`` is what an earlier attempt left, and is not there.
    Raises :class:`~stepkit.errors.StepError` when ``newer_than`` itself cannot be seen.
    """
    with atomic_files.explaining(f"cannot look at {newer_than}"):
        since = newer_than.stat().st_mtime_ns if newer_than else 0
    waiting, deadline = list(paths), time.monotonic() + timeout
    if waiting:
        logger.info("waiting for %s", ", ".join(map(str, waiting)))
    while waiting := [path for path in waiting if not _has_come(path, since)]:
        if time.monotonic() >= deadline:
            break
        time.sleep(_POLL)
    for path in waiting:
        state = "is still as old as an earlier attempt" if path.is_file() else "did not come"
        logger.warning("waited %g s: %s %s", timeout, path, state)
    return tuple(waiting)


def came_later(
    directory: Path, also: Sequence[str], waited: Iterable[Path], *, newer_than: Path
) -> list[Path]:
    """Return what is in ``directory`` by a name like ``also``, or was ``waited`` for, in order.

    What is older than ``newer_than`` is an earlier run's and left out. Raises
    :class:`~stepkit.errors.StepError` when the directory cannot be read.
    """
    with atomic_files.explaining(f"cannot look into {directory}"):
        named = {path for path in directory.iterdir() if _is_like(path.name, also)}
        root = Path(os.path.realpath(directory))  # Path.resolve raises for a link to itself
        for path in waited:
            place = Path(os.path.realpath(path.parent), path.name)
            if place.is_relative_to(root):
                named.add(directory / place.relative_to(root))
            else:
                logger.warning("%s lies outside of %s: it is left there", path, directory)
        since = newer_than.stat().st_mtime_ns
        there = [path for path in named if os.path.lexists(path) and not path.is_dir()]
        return sorted(path for path in there if path.lstat().st_mtime_ns >= since)


def _is_like(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _has_come(path: Path, since: int) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_mtime_ns >= since
