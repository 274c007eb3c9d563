"""The checksums of a file: SHA-256 always, and MD5 where a manifest gives nothing better."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stepkit.datasets.partial_file import Request

_CHUNK: Final = 2**18  # bytes: they stay in the processor's cache
_POLL_SECONDS: Final = 0.02


@dataclass(frozen=True, kw_only=True)
class Checksums:
    """Checksums in hexadecimal; ``md5`` is "" where it was not computed."""

    sha256: str
    md5: str = ""

    @classmethod
    def of(cls, path: Path, *, md5: bool) -> Checksums:
        """Read a file once. Raises :class:`OSError`."""
        whole = threading.Event()
        whole.set()
        return _read(path, whole, md5=md5)

    def difference(self, request: Request) -> str:
        """Say which checksum is not the requested one; ``""`` where all of them are."""
        if request.sha256 and self.sha256 != request.sha256:
            return f"the sha256 {self.sha256}, not {request.sha256}"
        if request.md5 and self.md5 != request.md5:
            return f"the md5 {self.md5}, not {request.md5}"
        return ""


@contextmanager
def growing(path: Path, *, md5: bool) -> Iterator[Callable[[], Checksums]]:
    """Read a file in another thread while the block appends to it.

    Yields a function that returns the checksums of the whole once all is written; it raises
    :class:`OSError`.
    """
    whole, left, found = threading.Event(), threading.Event(), Future[Checksums]()

    def follow() -> None:
        try:
            found.set_result(_read(path, whole, left, md5=md5))
        except BaseException as error:  # noqa: BLE001 - it is raised where the caller waits
            found.set_exception(error)

    def finish() -> Checksums:
        whole.set()
        return found.result()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield finish
    finally:
        left.set()
        whole.set()
        thread.join()


def _read(
    path: Path, whole: threading.Event, left: threading.Event | None = None, *, md5: bool
) -> Checksums:
    """Read a file to its end when it is ``whole``, or until ``left``; wait for more before that."""
    weak = hashlib.md5(usedforsecurity=False) if md5 else None
    strong = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK))
    with path.open("rb", 0) as file:
        while not (left and left.is_set()):
            at_end = whole.is_set()  # asked before the read: what is written until then counts
            if count := file.readinto(buffer):
                strong.update(buffer[:count])
                if weak:
                    weak.update(buffer[:count])
            elif at_end:
                break
            else:
                whole.wait(_POLL_SECONDS)
    return Checksums(sha256=strong.hexdigest(), md5=weak.hexdigest() if weak else "")
