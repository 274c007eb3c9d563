"""Decompress a gzip file in another thread, so that its content is written meanwhile."""

from __future__ import annotations

import threading
from queue import Full, Queue
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK: Final = 2**18  # bytes
_MOST_CHUNKS: Final = 16
_POLL_SECONDS: Final = 0.1


class ReadAhead:
    """The content of a gzip file, to be read and skipped forwards, as tarfile does.

    Reading raises what the decompression did. :meth:`close` ends the thread.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._chunks: Queue[bytes | BaseException] = Queue(_MOST_CHUNKS)
        self._left, self._at = memoryview(b""), 0
        self._end: bytes | BaseException | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._decompress, daemon=True)
        self._thread.start()

    def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes, fewer at the end alone."""
        pieces = []
        while size:
            if not self._left:
                self._left = memoryview(self._next())
                if not self._left:
                    break
            pieces.append(self._left[:size])
            self._left = self._left[size:]
            self._at += len(pieces[-1])
            size -= len(pieces[-1])
        return pieces[0].tobytes() if len(pieces) == 1 else b"".join(pieces)

    def tell(self) -> int:
        """Return how many bytes were read or skipped."""
        return self._at

    def seek(self, offset: int) -> int:
        """Skip to ``offset``, or to the end. Raises :class:`ValueError` for one that is behind."""
        if offset < self._at:
            raise ValueError("it points backwards")
        while self._at < offset and self.read(min(_CHUNK, offset - self._at)):
            pass
        return self._at

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._thread.join()

    def _next(self) -> bytes:
        """Return the next chunk, and b"" at the end."""
        if self._end is None:
            found = self._chunks.get()
            if isinstance(found, bytes) and found:
                return found
            self._end = found
        if isinstance(self._end, BaseException):
            raise self._end
        return b""

    def _decompress(self) -> None:
        import gzip

        try:
            with gzip.open(self._path) as file:
                while (chunk := file.read(_CHUNK)) and self._put(chunk):
                    pass
            self._put(b"")
        except BaseException as error:  # noqa: BLE001 - it is raised where the content is read
            self._put(error)

    def _put(self, item: bytes | BaseException) -> bool:
        while not self._closed.is_set():
            try:
                self._chunks.put(item, timeout=_POLL_SECONDS)
            except Full:
                continue
            return True
        return False
