"""A dataset from the cache, or from its server into the cache: one download for all who want it."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stepkit.datasets import cache as dataset_cache
from stepkit.datasets.cache import Sidecar
from stepkit.datasets.download import fetch
from stepkit.datasets.partial_file import Pace, Part, Wanted
from stepkit.errors import Reason, StepError, UserCodeError
from stepkit.http import safe_urls
from stepkit.http.get import Source
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterator


logger = logging.getLogger(__name__)

_READ_ONLY = 0o444


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is wanted, from where, and how patiently."""

    wanted: Wanted
    sources: tuple[Source, ...]
    pace: Pace
    attempts: int


@dataclass(frozen=True, kw_only=True)
class Held:
    """A verified file in the cache; ``hit`` tells that it was there before. ``size`` in bytes."""

    path: Path
    sha256: str
    size: int
    url: str
    hit: bool


@contextmanager
def held(cache: Path, request: Request) -> Iterator[Held]:
    """Yield the file, loaded if need be, and let nobody change or remove it within the block.

    Raises what :func:`stepkit.datasets.download.fetch` does, and :class:`stepkit.errors.StepError`
    when the cache cannot be written.
    """
    wanted, pace = request.wanted, request.pace
    key = wanted.sha256 or safe_urls.fingerprint(request.sources[0].url)

    def waiting() -> None:
        logger.info("%s: another process has it in its hands: waiting", wanted.name)

    with dataset_cache.locked(cache, key, until=pace.until, waiting=waiting):
        yield _obtained(cache / key, request)


def _obtained(path: Path, request: Request) -> Held:
    wanted, sidecar = request.wanted, path.with_name(f"{path.name}.json")
    told = _intact(path, dataset_cache.read_sidecar(sidecar), request)
    if told and wanted.sha256:
        return _hit(path, sidecar, told, wanted)
    part = Part(
        path=path.with_name(f"{path.name}.part"), sidecar=path.with_name(f"{path.name}.part.json")
    )
    known = told.validator if told else ""
    fetched = fetch(
        request.sources, part, wanted, request.pace, attempts=request.attempts, known=known
    )
    if fetched is None:
        assert told
        return _hit(path, sidecar, told, wanted)
    with atomic_files.explaining(f"cannot put {wanted.name} into the cache"):
        part.path.chmod(_READ_ONLY)
        part.path.replace(path)
        atomic_files.sync(path.parent)
    part.discard()
    now = dataset_cache.now()
    told = Sidecar(
        sha256=fetched.sha256,
        size=fetched.size,
        url=fetched.source,
        created=now,
        used=now,
        validator=fetched.validator,
    )
    dataset_cache.write_sidecar(sidecar, told)
    return Held(path=path, sha256=told.sha256, size=told.size, url=told.url, hit=False)


def _intact(path: Path, told: Sidecar | None, request: Request) -> Sidecar | None:
    """Return what is known of the cached file if it is what it should be; else remove it."""
    wanted = request.wanted
    if not os.path.lexists(path):
        return None
    expected = wanted.sha256 or (told.sha256 if told else None)
    with atomic_files.explaining(f"cannot read {path}"):
        regular = path.is_file() and not path.is_symlink()
        if regular and expected and atomic_files.sha256(path) == expected:
            size, now = path.stat().st_size, dataset_cache.now()
            url = safe_urls.masked(request.sources[0].url)
            known = told or Sidecar(sha256=expected, size=size, url=url, created=now, used=now)
            return replace(known, sha256=expected, size=size)
    logger.warning("%s in the cache is damaged: loading it again", wanted.name)
    with atomic_files.explaining(f"cannot remove {path}"):
        path.unlink()
    return None


def _hit(path: Path, sidecar: Path, told: Sidecar, wanted: Wanted) -> Held:
    if wanted.size not in {None, told.size}:
        raise UserCodeError(
            f"{told.url} has {told.size} bytes instead of {wanted.size}, as it is in the cache: "
            "either the file was replaced or the manifest is wrong",
            reason=Reason.CHECKSUM,
        )
    try:
        dataset_cache.write_sidecar(sidecar, replace(told, used=dataset_cache.now()))
    except StepError as error:  # the file is there all the same, on a full disk too
        logger.warning("cannot note that %s was used: %s", path, error)
    return Held(path=path, sha256=told.sha256, size=told.size, url=told.url, hit=True)
