"""Wait for files that another task writes meanwhile."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from stepkit.tools import files

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

logger = logging.getLogger(__name__)

_POLL: Final = 0.5  # seconds between two looks


def await_files(
    paths: Iterable[Path], *, newer_than: Path | None, timeout: float
) -> tuple[Path, ...]:
    """Wait until all ``paths`` are there, at most ``timeout`` seconds; return those that are not.

    A file last written before ``newer_than`` is what an earlier attempt left, and is not there.
    Raises :class:`~stepkit.errors.StepError` when ``newer_than`` itself cannot be seen.
    """
    with files.explaining(f"cannot look at {newer_than}"):
        since = newer_than.stat().st_mtime_ns if newer_than else 0
    waiting, deadline = list(paths), time.monotonic() + timeout
    if waiting:
        logger.info("waiting for %s", ", ".join(map(str, waiting)))
    while waiting := [path for path in waiting if not _has_come(path, since)]:
        if time.monotonic() >= deadline:
            break
        time.sleep(_POLL)
    for path in waiting:
        state = "is still as old as an earlier attempt" if path.exists() else "did not come"
        logger.warning("waited %g s: %s %s", timeout, path, state)
    return tuple(waiting)


def _has_come(path: Path, since: int) -> bool:
    try:
        return path.stat().st_mtime_ns >= since
    except OSError:
        return False
