"""The cache of downloaded files, kept for later runs and shared between processes.

    CACHE/CACHEDIR.TAG    asks backup programs to leave the directory out
    CACHE/KEY             a file, read-only
    CACHE/KEY.json        its sidecar: where it came from and when it was used
    CACHE/KEY.lock        held (flock) while the entry is made, used or removed
    CACHE/KEY.part        the partial file of an interrupted download
    CACHE/KEY.part.json   what the partial file is a part of

KEY is the SHA-256 of the file; where that is unknown before the download, it is the SHA-256 of the
URL, and the sidecar holds the file's SHA-256 and the server's validator (an ETag, or else a date).
A sidecar proves nothing about the content of its file: every use of the file computes its checksum
again.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import Reason, StepError, ToolError
from stepkit.system import atomic_files, cache_directory, locks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCHEMA: Final = "stepkit.cache/1"
_CONTENT: Final = "stepkit download-dataset keeps what it downloaded here"
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """What is known of one file: ``size`` in bytes, times in UTC.

    ``url`` has no user, password and query, which may be secrets.
    """

    sha256: str
    size: int
    url: str
    created: str
    used: str
    validator: str = ""
    schema: str = SCHEMA


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file of a cache, finished or not; ``sha256`` is None for an unfinished one.

    ``size`` in bytes is all that the entry takes, a partial file included; ``used`` is when a run
    last needed it.
    """

    path: Path
    size: int = 0
    used: datetime = field(default_factory=lambda: datetime.now(UTC))
    sha256: str | None = None

    @property
    def sidecar(self) -> Path:
        """The file that holds its :class:`Sidecar`."""
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def part(self) -> Path:
        """The partial file of an unfinished download."""
        return self.path.with_name(f"{self.path.name}.part")

    @property
    def part_sidecar(self) -> Path:
        """The sidecar of the partial file."""
        return self.path.with_name(f"{self.path.name}.part.json")


def prepare(cache: Path) -> None:
    """Create the directory of a cache and its tag; on a shared volume, for its whole group.

    Raises :class:`stepkit.errors.StepError` when it cannot be written to.
    """
    cache_directory.prepare(cache, _CONTENT)


def entries(cache: Path) -> Iterator[Entry]:
    """Yield the entries of ``cache``, unfinished downloads too; none where there is no cache.

    Raises :class:`stepkit.errors.StepError` when the directory cannot be read.
    """
    for key in cache_directory.keys(cache):
        if found := find(cache, key):
            yield found


def find(cache: Path, key: str) -> Entry | None:
    """Return the entry of ``key``, None if there is none.

    The sidecar that is left of a file which is gone is an entry too: it can be removed.
    """
    found = Entry(path=cache / key)
    files = _stats(found.path, found.part)
    seen = files or _stats(found.sidecar, found.part_sidecar)
    if not seen:
        return None
    times = [datetime.fromtimestamp(stat.st_mtime, UTC) for stat in seen]
    size = sum(stat.st_size for stat in files)
    sidecar = read_sidecar(found.sidecar) if found.path.is_file() else None
    if sidecar:
        times.append(_time(sidecar.used))
    sha256 = sidecar.sha256 if sidecar else None
    return replace(found, size=size, used=max(times), sha256=sha256)


def _stats(*paths: Path) -> list[os.stat_result]:
    found = []
    for path in paths:
        with suppress(OSError):
            found.append(path.lstat())
    return found


def remove(entry: Entry) -> bool:
    """Remove an entry unless a process holds it or has used it since it was listed.

    Returns whether it was removed. Raises :class:`stepkit.errors.StepError` when it cannot be.
    """
    cache, key = entry.path.parent, entry.path.name
    with atomic_files.explaining(f"cannot remove {entry.path} from the cache"):
        lock = _try_lock(cache / f"{key}.lock")
        if lock is None:
            return False
        try:
            current = find(cache, key)
            if current and current.used > entry.used:
                return False
            for path in (entry.path, entry.sidecar, entry.part, entry.part_sidecar):
                path.unlink(missing_ok=True)
            (cache / f"{key}.lock").unlink(missing_ok=True)
        finally:
            os.close(lock)
    return True


@contextmanager
def locked(
    cache: Path, key: str, *, until: float, waiting: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Let one process at a time work on the entry of ``key``; the lock dies with its holder.

    ``waiting`` is called once if another process holds the lock. Raises :class:`ToolError` when
    that process still holds it at ``until`` (of :func:`time.monotonic`).
    """
    path = cache / f"{key}.lock"
    lock, announced = None, False
    with atomic_files.explaining(f"cannot lock {path}"):
        while (lock := _try_lock(path)) is None:
            if not announced:
                waiting()
                announced = True
            if time.monotonic() > until:
                raise ToolError(
                    f"another process has held {path} for too long: give --timeout more",
                    reason=Reason.TIMEOUT,
                )
            time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        os.close(lock)


def _try_lock(path: Path) -> int | None:
    """Return an open, locked file, or None if another process has it."""
    with suppress(BlockingIOError):
        return locks.acquire_for_group(path, wait=False)
    return None


def read_sidecar(path: Path) -> Sidecar | None:
    """Return the sidecar in ``path``, None when it is missing or malformed."""
    try:
        content: Any = json.loads(atomic_files.read(path))
        sidecar = Sidecar(**content)
        _time(sidecar.used)
    except (StepError, ValueError, TypeError, RecursionError):
        return None
    return sidecar if sidecar.schema == SCHEMA else None


def write_sidecar(path: Path, sidecar: Sidecar) -> None:
    """Write a sidecar atomically."""
    atomic_files.write_atomically(path, json.dumps(asdict(sidecar), indent=2) + "\n", durable=False)


def now() -> str:
    """Return the current time in the format of sidecars."""
    return datetime.now(UTC).strftime(_TIME)


def _time(text: str) -> datetime:
    return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
