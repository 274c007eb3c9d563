"""Get a dataset from the cache, or download it there once for all processes that want it."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit.datasets import cache as dataset_cache
from stepkit.datasets.cache import Sidecar
from stepkit.datasets.checksums import Checksums
from stepkit.datasets.download import download
from stepkit.datasets.partial_file import PartialFile, Request
from stepkit.errors import Reason, StepError, UserCodeError
from stepkit.http import safe_urls
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

_READ_ONLY: Final = 0o444


@dataclass(frozen=True, kw_only=True)
class CachedFile:
    """A verified file in the cache; ``hit`` if it was there before."""

    path: Path
    sidecar: Sidecar
    hit: bool


@contextmanager
def cached(cache: Path, request: Request) -> Iterator[CachedFile]:
    """Yield the file, downloaded if need be; no process changes or removes it within the block.

    Raises what :func:`stepkit.datasets.download.download` does, and
    :class:`stepkit.errors.StepError` when the cache cannot be written.
    """
    key = request.sha256 or safe_urls.fingerprint(request.sources[0].url)

    def waiting() -> None:
        logger.info("%s: another process is downloading it: waiting", request.name)

    with dataset_cache.locked(cache, key, until=request.pace.until, waiting=waiting):
        yield _get(dataset_cache.Entry(path=cache / key), request)


def _get(entry: dataset_cache.Entry, request: Request) -> CachedFile:
    sidecar = _verify(entry, request)
    if sidecar and request.content_is_known:
        return _hit(entry, sidecar, request)
    partial = PartialFile(path=entry.part, sidecar=entry.part_sidecar)
    downloaded = download(request, partial, known=sidecar.validator if sidecar else "")
    if downloaded is None:
        assert sidecar
        return _hit(entry, sidecar, request)
    with atomic_files.explaining(f"cannot put {request.name} into the cache"):
        with suppress(PermissionError):  # another user began it
            partial.path.chmod(_READ_ONLY)
        partial.path.replace(entry.path)
        atomic_files.sync(entry.path.parent)
    partial.discard()
    dataset_cache.write_sidecar(entry.sidecar, downloaded)
    return CachedFile(path=entry.path, sidecar=downloaded, hit=False)


def _verify(entry: dataset_cache.Entry, request: Request) -> Sidecar | None:
    """Return the sidecar of the cached file if its checksums are right; remove a damaged file."""
    path = entry.path
    if not os.path.lexists(path):
        return None
    sidecar = dataset_cache.read_sidecar(entry.sidecar)
    expected = request.sha256 or (sidecar.sha256 if sidecar else None)
    with atomic_files.explaining(f"cannot read {path}"):
        regular = path.is_file() and not path.is_symlink()
        found = Checksums.of(path, md5=bool(request.md5)) if regular and expected else None
        if found and found.sha256 == expected:
            if difference := found.difference(request):
                logger.info("%s in the cache has %s: downloading it", request.name, difference)
                return None
            size, now = path.stat().st_size, dataset_cache.now()
            url = safe_urls.masked(request.sources[0].url)
            known = sidecar or Sidecar(sha256=expected, size=size, url=url, created=now, used=now)
            return replace(known, sha256=expected, size=size)
    logger.warning("%s in the cache is damaged: downloading it again", request.name)
    with atomic_files.explaining(f"cannot remove {path}"):
        path.unlink()
    return None


def _hit(entry: dataset_cache.Entry, sidecar: Sidecar, request: Request) -> CachedFile:
    if request.size and not request.size.fits(sidecar.size):
        raise UserCodeError(
            f"{sidecar.url}, as it is in the cache, has {request.size.instead(sidecar.size)}: "
            f"either the file was replaced or {request.promised_by} is wrong",
            reason=Reason.CHECKSUM,
        )
    try:
        PartialFile(path=entry.part, sidecar=entry.part_sidecar).discard()  # left by a killed run
        dataset_cache.write_sidecar(entry.sidecar, replace(sidecar, used=dataset_cache.now()))
    except StepError as error:  # a full disk does not keep the file from being used
        logger.warning("cannot note that %s was used: %s", entry.path, error)
    return CachedFile(path=entry.path, sidecar=sidecar, hit=True)
