"""What a power cut would lose, from the calls that change files: what no fsync(2) followed."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faults.stopped_calls import Call

_WRITES: Final = {
    "write", "pwrite64", "writev", "pwritev", "sendfile", "copy_file_range", "ftruncate",
}  # fmt: skip


@dataclass
class Disk:
    """The files below ``work``, as a disk has them that writes nothing before it must.

    ``relied`` has the new names of files, or of directories of files, that the disk did not have
    yet. Names themselves reach the disk in order, as on a journalling file system.
    """

    work: Path
    relied: list[str] = field(default_factory=list)
    _unsynced: set[tuple[int, int]] = field(default_factory=set)  # device and inode
    _sizes: dict[tuple[int, int], int] = field(default_factory=dict)  # that the disk has

    def note(self, call: Call) -> None:
        """Note a call that is about to be done."""
        with suppress(OSError):
            if call.name in {"sync", "syncfs"}:
                self._unsynced.clear()
            elif call.descriptor and call.name in _WRITES:
                self._unsynced.add(_inode(call.descriptor))
            elif call.descriptor and call.name in {"fsync", "fdatasync"}:
                self._unsynced.discard(_inode(call.descriptor))
                self._sizes[_inode(call.descriptor)] = Path(call.descriptor).stat().st_size
            elif call.name.startswith("rename"):
                source, target = (Path(path) for path in call.paths)
                if any(_inode(path) in self._unsynced for path in _files(source)):
                    self.relied.append(str(target.relative_to(self.work)))

    def lose(self) -> None:
        """Cut the files to the bytes that the disk has."""
        for path in _files(self.work):
            if _inode(path) in self._unsynced:
                os.truncate(path, self._sizes.get(_inode(path), 0))


def _inode(path: str | Path) -> tuple[int, int]:
    found = Path(path).stat()
    return found.st_dev, found.st_ino


def _files(path: Path) -> Iterator[Path]:
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    for each in [path, *inside]:
        if each.is_file() and not each.is_symlink():
            yield each
