"""An unfinished file: what came of it, what it is a part of, and how the rest is added.

Nothing is allocated ahead, so that the size of a part is what came.
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

from stepkit.errors import Reason, StepError, ToolError
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import DataclassInstance

logger = logging.getLogger(__name__)

_SLOWEST: Final = 1000  # bytes per second, the limit that git-clone sets, too
_TELL_SECONDS: Final = 5.0


class MismatchError(ToolError):
    """What came is not what was asked for; ``got`` says what it was."""

    usual = Reason.CHECKSUM

    def __init__(
        self,
        message: str,
        *,
        got: str = "",
        reason: Reason | None = None,
        outputs: DataclassInstance | None = None,
    ) -> None:
        super().__init__(message, reason=reason, outputs=outputs)
        self.got = got


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is known of a file beforehand: ``size`` in bytes, ``sha256`` in hexadecimal."""

    name: str
    sha256: str | None = None
    size: int | None = None


@dataclass(kw_only=True)
class Pace:
    """How long to wait, in seconds, and until when (:func:`time.monotonic`); what was received.

    ``received`` counts the bytes of all bodies, also those that were of no use.
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
class Part:
    """The file and its sidecar."""

    path: Path
    sidecar: Path

    def size(self) -> int:
        """Return how many bytes are there; what is no file of its own has none of ours."""
        try:
            found = self.path.lstat()
        except OSError:
            return 0
        return found.st_size if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 else 0

    def told(self) -> dict[str, Any]:
        """Return what the sidecar says: ``source``, ``validator``, ``total``."""
        try:
            told = json.loads(atomic_files.read(self.sidecar))
        except (StepError, ValueError, RecursionError):
            return {}
        return told if isinstance(told, dict) else {}

    def tell(self, *, source: str, validator: str, total: int | None) -> None:
        """Write the sidecar."""
        told = {"source": source, "validator": validator, "total": total}
        atomic_files.write_atomically(self.sidecar, json.dumps(told) + "\n", durable=False)

    def discard(self) -> None:
        """Remove both."""
        with atomic_files.explaining(f"cannot remove {self.path}"):
            self.path.unlink(missing_ok=True)
            self.sidecar.unlink(missing_ok=True)

    def begin(self, offset: int) -> None:
        """Make it a file of ``offset`` bytes, the first of those that it has."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with atomic_files.explaining(f"cannot write {self.path}"):
            if not offset:  # a link or a pipe would lead elsewhere
                self.path.unlink(missing_ok=True)
            fd = os.open(self.path, flags, 0o666)
            try:
                os.ftruncate(fd, offset)
            finally:
                os.close(fd)


class Receipt:
    """Watches a body come in: its length, its speed and the time; tells of it now and then."""

    def __init__(self, where: str, wanted: Wanted, pace: Pace, done: int, end: int | None) -> None:
        self.where, self.wanted, self.pace, self.done, self.end = where, wanted, pace, done, end
        self.began = self.told = self.window = time.monotonic()
        self.received = self.in_window = 0

    def append(self, chunks: Iterable[bytes], part: Part) -> None:
        """Append ``chunks`` to the part. Raises :class:`ToolError`; what came stays there."""
        with atomic_files.explaining(f"cannot write {part.path}"), part.path.open("ab", 0) as file:
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

    def _count(self, count: int) -> None:
        self.done += count
        self.received += count
        self.in_window += count
        self.pace.received += count
        self.pace.check(self.where)
        size = self.wanted.size
        if size is not None and self.done > size:
            raise MismatchError(f"{self.where} has more than {size} bytes", got="more")
        now = time.monotonic()
        if now - self.window > self.pace.stall:
            speed = self.in_window / (now - self.window)
            if speed < _SLOWEST:
                raise ToolError(
                    f"{self.where}: {speed:.0f} bytes per second are too slow",
                    reason=Reason.NETWORK,
                )
            self.window, self.in_window = now, 0
        if now - self.told >= _TELL_SECONDS:
            self.told = now
            self._tell(self.received / (now - self.began))

    def _tell(self, speed: float) -> None:
        share = f" of {self.end / 1e6:.0f} MB ({100 * self.done // self.end} %)" if self.end else ""
        name, done = self.wanted.name, self.done / 1e6
        logger.info("%s: %.0f MB%s, %.1f MB/s", name, done, share, speed / 1e6)
