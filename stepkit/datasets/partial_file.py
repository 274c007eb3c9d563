"""An unfinished download: the bytes so far, what they are a part of, and how more are appended.

No space is allocated ahead, so that the size of the file is the number of bytes that arrived.
"""

from __future__ import annotations

import json
import logging
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepkit.datasets import checksums
from stepkit.datasets.expected_size import ExpectedSize
from stepkit.errors import Reason, StepError, ToolError
from stepkit.http.get import FileSource
from stepkit.system import atomic_files, status_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepkit.datasets.checksums import Checksums

logger = logging.getLogger(__name__)

_SLOWEST: Final = 1000  # bytes per second, the same limit as git-clone's
_PROGRESS_SECONDS: Final = 5.0  # between two lines of the log
_SHORTEST: Final = 0.001  # seconds that a download took


class MismatchError(ToolError):
    """The file that arrived is not the one that was asked for; ``got`` identifies it."""

    default_reason = Reason.CHECKSUM

    def __init__(self, message: str, *, got: str = "", **more: Any) -> None:
        super().__init__(message, **more)
        self.got = got


@dataclass(kw_only=True)
class Pace:
    """How long a download may take, and how many bytes were received.

    ``stall`` is in seconds, ``until`` a time of :func:`time.monotonic`. ``received`` counts the
    bytes of all bodies, also those that were of no use.
    """

    stall: float
    until: float
    received: int = 0

    def check(self, what: str) -> None:
        """Raise :class:`ToolError` when the time is up."""
        if time.monotonic() > self.until:
            raise ToolError(
                f"{what}: the time limit is over; what came is kept, and the next run goes on "
                "from there: give --timeout more",
                reason=Reason.TIMEOUT,
            )


@dataclass(frozen=True, kw_only=True)
class Request:
    """A file to download: the sources that have it, and how long and how often to try.

    ``sha256`` and ``md5``, in hexadecimal, and ``size`` are None where they are unknown beforehand.
    ``promised_by`` names for a message what gave them.
    """

    name: str
    promised_by: str
    sha256: str | None
    md5: str | None
    size: ExpectedSize | None
    sources: tuple[FileSource, ...]
    pace: Pace
    attempts: int

    @property
    def content_is_known(self) -> bool:
        """Whether a checksum tells the file from every other one."""
        return bool(self.sha256 or self.md5)

    @property
    def exact_size(self) -> int | None:
        """The file's size in bytes, None if it is unknown or rounded."""
        return self.size.exact if self.size else None


@dataclass(frozen=True, kw_only=True)
class PartialFile:
    """The bytes so far in ``path``, and a sidecar that says what they are a part of."""

    path: Path
    sidecar: Path

    def size(self) -> int:
        """Return how many bytes are there; 0 for a link, whose file belongs to someone else."""
        try:
            found = self.path.lstat()
        except OSError:
            return 0
        return found.st_size if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 else 0

    def read_sidecar(self) -> dict[str, Any]:
        """Return ``source``, ``validator`` and ``total``; nothing if the sidecar is unreadable."""
        try:
            content = json.loads(atomic_files.read(self.sidecar))
        except (StepError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    def write_sidecar(self, *, source: str, validator: str, total: int | None) -> None:
        """Write the sidecar: a fingerprint of the URL, an ETag or date, the file's full size."""
        content = {"source": source, "validator": validator, "total": total}
        atomic_files.write_atomically(self.sidecar, json.dumps(content) + "\n", durable=False)

    def discard(self) -> None:
        """Remove the file and its sidecar."""
        with atomic_files.explaining(f"cannot remove {self.path}"):
            self.path.unlink(missing_ok=True)
            self.sidecar.unlink(missing_ok=True)

    def truncate(self, offset: int) -> None:
        """Keep the first ``offset`` bytes; create the file if it is missing."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with atomic_files.explaining(f"cannot write {self.path}"):
            if not offset:  # a link or a pipe would lead elsewhere
                self.path.unlink(missing_ok=True)
            fd = os.open(self.path, flags, 0o666)
            try:
                os.ftruncate(fd, offset)
            finally:
                os.close(fd)


class Receiver:
    """Appends a body to a file, and watches its length, its speed and the time limit.

    ``done`` and ``end`` are the bytes that are there and the file's full size, None if unknown.
    """

    def __init__(self, where: str, request: Request, done: int, end: int | None) -> None:
        self.where, self.request, self.done, self.end = where, request, done, end
        self.began = self.logged = self.window = time.monotonic()
        self.received = self.in_window = 0

    def append(self, chunks: Iterable[bytes], partial: PartialFile) -> Checksums:
        """Append ``chunks``, and return the checksums of the whole file.

        Raises :class:`ToolError`; what arrived until then is kept.
        """
        path = partial.path
        with (
            status_line.showing(self._progress),
            atomic_files.explaining(f"cannot write {path}"),
            path.open("ab", 0) as file,
            checksums.growing(path, md5=bool(self.request.md5)) as finish,
        ):
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    view = view[file.write(view) :]
                self._count(len(chunk))
            if self.end is not None and self.done < self.end:
                raise ToolError(
                    f"{self.where}: the connection ended after {self.done} of {self.end} bytes",
                    reason=Reason.NETWORK,
                )
            return finish()

    def _count(self, count: int) -> None:
        self.done += count
        self.received += count
        self.in_window += count
        self.request.pace.received += count
        self.request.pace.check(self.where)
        size = self.request.size
        if size and self.done > size.most:
            raise MismatchError(f"{self.where} has more than {size.most} bytes", got="more")
        now = time.monotonic()
        if now - self.window > self.request.pace.stall:
            speed = self.in_window / (now - self.window)
            if speed < _SLOWEST:
                raise ToolError(
                    f"{self.where}: {speed:.0f} bytes per second are too slow",
                    reason=Reason.NETWORK,
                )
            self.window, self.in_window = now, 0
        if now - self.logged >= _PROGRESS_SECONDS:
            self.logged = now
            logger.info("%s", self._progress())

    def _progress(self) -> str:
        end, done = self.end, self.done
        share = f" of {end / 1e6:.0f} MB ({100 * done // end} %)" if end else ""
        speed = self.received / max(time.monotonic() - self.began, _SHORTEST) / 1e6
        return f"{self.request.name}: {done / 1e6:.0f} MB{share}, {speed:.1f} MB/s"
