"""Which files of a run are published, and the wait for those that another task still writes."""

from __future__ import annotations

import logging
import os
import stat
import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit.artifacts import manifest as artifact_manifest
from stepkit.artifacts.manifest import CHECKSUMS, MANIFEST, Artifact
from stepkit.errors import Reason, UserCodeError
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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


def select(
    directory: Path, listed: Sequence[Artifact], *, also: Sequence[str], waited: Iterable[Path]
) -> tuple[Artifact, ...]:
    """Return the ``listed`` artifacts, then those that came later, and the manifest last.

    ``also`` are patterns of names, ``waited`` paths, of files that may be newer than the manifest.
    Raises :class:`UserCodeError` when a listed artifact has changed since.
    """
    lists = [directory / CHECKSUMS, directory / MANIFEST]
    found = _later_files(directory, also, waited, newer_than=directory / MANIFEST)
    later = [path for path in found if path not in lists]
    names = {path.relative_to(directory).as_posix() for path in (*later, *lists)}
    kept = [artifact for artifact in listed if artifact.path not in names]
    if changed := [text for a in kept if (text := artifact_manifest.difference(a, directory))]:
        raise UserCodeError(
            f"{len(changed)} of {len(listed)} artifacts changed since collect-artifacts listed "
            f"them: {artifact_manifest.enumerate_some(changed)}; nothing was sent",
            reason=Reason.CHECKSUM,
        )
    lists = [path for path in lists if path.exists() or path.name == MANIFEST]
    return (*kept, *(artifact_manifest.describe(path, directory) for path in (*later, *lists)))


def select_all(directory: Path) -> tuple[Artifact, ...]:
    """Return all files of a run that has no manifest."""
    logger.warning("there is no %s: all that is in %s is published", MANIFEST, directory)
    return tuple(
        artifact_manifest.describe(path, directory)
        for path in artifact_manifest.regular_files(directory)
    )


def _later_files(
    directory: Path, also: Sequence[str], waited: Iterable[Path], *, newer_than: Path
) -> list[Path]:
    """Return the files of ``directory`` that match ``also`` or are ``waited`` for, in order.

    A file older than ``newer_than`` belongs to an earlier run and is left out.
    """
    with atomic_files.explaining(f"cannot read {directory}"):
        named = {
            path
            for path in directory.iterdir()
            if any(fnmatchcase(path.name, pattern) for pattern in also)
            and not artifact_manifest.is_unfinished(path.name)
        }
        root = Path(os.path.realpath(directory))  # Path.resolve raises for a link to itself
        for path in waited:
            real = Path(os.path.realpath(path.parent), path.name)
            if real.is_relative_to(root):
                named.add(directory / real.relative_to(root))
            else:
                logger.warning("%s lies outside of %s: it is left there", path, directory)
        since = newer_than.stat().st_mtime_ns
        present = [path for path in named if os.path.lexists(path) and not path.is_dir()]
        return sorted(path for path in present if path.lstat().st_mtime_ns >= since)


def _is_written(path: Path, since: int) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_mtime_ns >= since
