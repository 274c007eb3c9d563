"""The next version of a file, written ahead beside it and moved into place when it is whole."""

from __future__ import annotations

import os
from contextlib import suppress
from secrets import token_hex
from tempfile import mkstemp
from typing import TYPE_CHECKING, Final

from stepkit.system import atomic_files

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK: Final = 1 << 24  # bytes that one copy within the kernel asks for
_AHEAD: Final = 1 << 24  # bytes written between two flushes, so that the last one finds little


class Draft:
    """A file without a name until it is published, where the file system knows such files.

    A killed process then leaves nothing behind. All methods raise :class:`OSError`.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._named: str | None = None
        target.parent.mkdir(parents=True, exist_ok=True)  # a notebook may have removed it
        try:
            self.fd = os.open(target.parent, os.O_TMPFILE | os.O_RDWR, 0o666)
        except OSError:  # NFS and some FUSE file systems
            self.fd, self._named = mkstemp(prefix=_prefix(target), dir=target.parent)
            os.fchmod(self.fd, 0o666 & ~atomic_files.umask())
        self.size = 0
        self._flushed = 0

    def write(self, data: bytes) -> None:
        """Add ``data`` at the end."""
        view = memoryview(data)
        while view:
            written = os.write(self.fd, view)
            self.size += written
            view = view[written:]
        self._flush_ahead()

    def copy(self, source: Draft, offset: int, length: int) -> None:
        """Add a part of another draft, without a detour through this process's memory."""
        while length:
            copied = self._copy_some(source.fd, offset, min(length, _CHUNK))
            offset += copied
            length -= copied
            self.size += copied
        self._flush_ahead()

    def publish(self) -> None:
        """Put the file in its target's place once the disk has all of it."""
        os.fsync(self.fd)
        self._target.parent.mkdir(parents=True, exist_ok=True)
        directory = os.open(self._target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            name = self._named or self._give_name(directory)
            try:
                os.replace(name, self._target)  # noqa: PTH105 - a name, perhaps of bytes
            except OSError:
                os.unlink(name)  # noqa: PTH108
                raise
            self._named = None
            os.fsync(directory)
        finally:
            os.close(directory)

    def close(self) -> None:
        """Let go of the file; one that was not published is gone."""
        os.close(self.fd)
        if self._named:
            with suppress(FileNotFoundError):
                os.unlink(self._named)  # noqa: PTH108

    def _give_name(self, directory: int) -> str:
        name = str(self._target.with_name(_prefix(self._target) + token_hex(8)))
        # A directory descriptor makes os.link follow the link to the nameless file (open(2)).
        os.link(f"/proc/self/fd/{self.fd}", name, src_dir_fd=directory, follow_symlinks=True)
        return name

    def _copy_some(self, source: int, offset: int, length: int) -> int:
        try:
            copied = os.copy_file_range(source, self.fd, length, offset)
        except OSError:
            copied = os.write(self.fd, os.pread(source, length, offset))
        if not copied:
            raise OSError(5, "the file that is copied from became shorter")
        return copied

    def _flush_ahead(self) -> None:
        if self.size - self._flushed >= _AHEAD:
            self._flushed = self.size
            os.fdatasync(self.fd)


def _prefix(target: Path) -> str:
    return f".{target.name[:60]}-"
