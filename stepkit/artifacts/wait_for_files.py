"""Wait for files that another task is still writing."""

from __future__ import annotations

import logging
import stat
import time
from typing import TYPE_CHECKING, Final

from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

logger = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.5


def await_files(
    paths: Iterable[Path], *, newer_than: Path | None, timeout: float
) -> tuple[Path, ...]:
    """Wait until all ``paths`` are there, at most ``timeout`` seconds; return those that are not.

    A file last written before ``newer_than`` was left by an earlier attempt and does not count.
    Raises :class:`~stepkit.errors.StepError` when ``newer_than`` itself cannot be read.
    """
    with atomic_files.explaining(f"cannot read the time of {newer_than}"):
        since = newer_than.stat().st_mtime_ns if newer_than else 0
    waiting, deadline = list(paths), time.monotonic() + timeout
    if waiting:
        logger.info("waiting for %s", ", ".join(map(str, waiting)))
    while waiting := [path for path in waiting if not _is_written(path, since)]:
        if time.monotonic() >= deadline:
            break
        time.sleep(_POLL_SECONDS)
    for path in waiting:
        state = "is still as old as an earlier attempt" if path.is_file() else "did not come"
        logger.warning("waited %g s: %s %s", timeout, path, state)
    return tuple(waiting)


def _is_written(path: Path, since: int) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_mtime_ns >= since
