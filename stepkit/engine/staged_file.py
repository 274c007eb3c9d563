"""The next version of a file, written beside it and moved into place when it is whole."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from stepkit.system import scratch

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK: Final = 1 << 24  # bytes that one copy within the operating system asks for
_FLUSH_EVERY: Final = 1 << 24  # bytes, so that little is left for the flush before publication


class StagedFile:
    """A file that has no name until it is published, where the file system supports that.

    A process that is killed then leaves no file behind. All methods raise :class:`OSError`.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._named: str | None = None
        target.parent.mkdir(parents=True, exist_ok=True)  # a notebook may have removed it
        try:
            self.fd = os.open(target.parent, os.O_TMPFILE | os.O_RDWR, 0o666)
        except OSError:  # NFS and some FUSE file systems
            self._named = self._scratch_name()
            self.fd = os.open(self._named, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        scratch.hold(self.fd)
        self.size = 0
        self._flushed = 0

    def write(self, data: bytes) -> None:
        """Add ``data`` at the end."""
        view = memoryview(data)
        while view:
            written = os.write(self.fd, view)
            self.size += written
            view = view[written:]
        self._flush()

    def copy(self, source: StagedFile, offset: int, length: int) -> None:
        """Add a part of another staged file, without reading it into memory where possible."""
        while length:
            chunk = min(length, _CHUNK)
            try:
                copied = os.copy_file_range(source.fd, self.fd, chunk, offset)
            except OSError:
                copied = os.write(self.fd, os.pread(source.fd, chunk, offset))
            if not copied:
                raise OSError(5, "the file that is copied from became shorter")
            offset += copied
            length -= copied
            self.size += copied
        self._flush()

    def publish(self) -> None:
        """Replace the target with this file once the disk has all of it."""
        os.fsync(self.fd)
        self._target.parent.mkdir(parents=True, exist_ok=True)
        directory = os.open(self._target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            name = self._named
            if not name:
                name = self._scratch_name()
                # With a directory descriptor os.link follows the link to the file (open(2)).
                link = f"/proc/self/fd/{self.fd}"
                os.link(link, name, src_dir_fd=directory, follow_symlinks=True)
            try:
                os.replace(name, self._target)  # noqa: PTH105 - a name, perhaps of bytes
            except OSError:
                os.unlink(name)  # noqa: PTH108
                raise
            self._named = None
            scratch.release(self.fd)
            os.fsync(directory)
        finally:
            os.close(directory)

    def close(self) -> None:
        """Close the file, and remove it if it was not published."""
        os.close(self.fd)
        if self._named:
            with suppress(FileNotFoundError):
                os.unlink(self._named)  # noqa: PTH108

    def _scratch_name(self) -> str:
        return str(self._target.with_name(scratch.name_for(self._target.name)))

    def _flush(self) -> None:
        if self.size - self._flushed >= _FLUSH_EVERY:
            self._flushed = self.size
            os.fdatasync(self.fd)
