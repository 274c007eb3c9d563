"""Get a dataset from the cache, or download it there once for all processes that want it."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit.datasets import cache as dataset_cache
from stepkit.datasets.cache import Sidecar
from stepkit.datasets.download import fetch
from stepkit.datasets.partial_file import Pace, PartialFile, Wanted
from stepkit.errors import Reason, StepError, UserCodeError
from stepkit.http import safe_urls
from stepkit.http.get import Source
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterator


logger = logging.getLogger(__name__)

_READ_ONLY: Final = 0o444


@dataclass(frozen=True, kw_only=True)
class Request:
    """A file, the sources that have it, and how long and how often to try."""

    wanted: Wanted
    sources: tuple[Source, ...]
    pace: Pace
    attempts: int


@dataclass(frozen=True, kw_only=True)
class CachedFile:
    """A verified file in the cache; ``hit`` if it was there before. ``size`` in bytes."""

    path: Path
    sha256: str
    size: int
    url: str
    hit: bool


@contextmanager
def cached(cache: Path, request: Request) -> Iterator[CachedFile]:
    """Yield the file, downloaded if need be; no process changes or removes it within the block.

    Raises what :func:`stepkit.datasets.download.fetch` does, and :class:`stepkit.errors.StepError`
    when the cache cannot be written.
    """
    wanted, pace = request.wanted, request.pace
    key = wanted.sha256 or safe_urls.fingerprint(request.sources[0].url)

    def waiting() -> None:
        logger.info("%s: another process is downloading it: waiting", wanted.name)

    with dataset_cache.locked(cache, key, until=pace.until, waiting=waiting):
        yield _get(dataset_cache.Entry(path=cache / key), request)


def _get(entry: dataset_cache.Entry, request: Request) -> CachedFile:
    wanted = request.wanted
    sidecar = _verify(entry, request)
    if sidecar and wanted.sha256:
        return _hit(entry, sidecar, wanted)
    partial = PartialFile(path=entry.part, sidecar=entry.part_sidecar)
    known = sidecar.validator if sidecar else ""
    fetched = fetch(
        request.sources, partial, wanted, request.pace, attempts=request.attempts, known=known
    )
    if fetched is None:
        assert sidecar
        return _hit(entry, sidecar, wanted)
    with atomic_files.explaining(f"cannot put {wanted.name} into the cache"):
        partial.path.chmod(_READ_ONLY)
        partial.path.replace(entry.path)
        atomic_files.sync(entry.path.parent)
    partial.discard()
    now = dataset_cache.now()
    sidecar = Sidecar(
        sha256=fetched.sha256,
        size=fetched.size,
        url=fetched.source,
        created=now,
        used=now,
        validator=fetched.validator,
    )
    dataset_cache.write_sidecar(entry.sidecar, sidecar)
    return _cached_file(entry, sidecar, hit=False)


def _verify(entry: dataset_cache.Entry, request: Request) -> Sidecar | None:
    """Return the sidecar of the cached file if its checksum is right; remove a damaged file."""
    path, wanted = entry.path, request.wanted
    if not os.path.lexists(path):
        return None
    sidecar = dataset_cache.read_sidecar(entry.sidecar)
    expected = wanted.sha256 or (sidecar.sha256 if sidecar else None)
    with atomic_files.explaining(f"cannot read {path}"):
        regular = path.is_file() and not path.is_symlink()
        if regular and expected and atomic_files.sha256(path) == expected:
            size, now = path.stat().st_size, dataset_cache.now()
            url = safe_urls.masked(request.sources[0].url)
            known = sidecar or Sidecar(sha256=expected, size=size, url=url, created=now, used=now)
            return replace(known, sha256=expected, size=size)
    logger.warning("%s in the cache is damaged: downloading it again", wanted.name)
    with atomic_files.explaining(f"cannot remove {path}"):
        path.unlink()
    return None


def _hit(entry: dataset_cache.Entry, sidecar: Sidecar, wanted: Wanted) -> CachedFile:
    if wanted.size not in {None, sidecar.size}:
        raise UserCodeError(
            f"{sidecar.url} has {sidecar.size} bytes instead of {wanted.size}, as it is in the "
            "cache: either the file was replaced or the manifest is wrong",
            reason=Reason.CHECKSUM,
        )
    try:
        dataset_cache.write_sidecar(entry.sidecar, replace(sidecar, used=dataset_cache.now()))
    except StepError as error:  # a full disk does not keep the file from being used
        logger.warning("cannot note that %s was used: %s", entry.path, error)
    return _cached_file(entry, sidecar, hit=True)


def _cached_file(entry: dataset_cache.Entry, sidecar: Sidecar, *, hit: bool) -> CachedFile:
    return CachedFile(
        path=entry.path, sha256=sidecar.sha256, size=sidecar.size, url=sidecar.url, hit=hit
    )
