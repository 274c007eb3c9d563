"""A directory in which an index is kept, such as a mounted volume."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stepkit.errors import ConfigurationError, Reason, StepError
from stepkit.report.find_runs import find_runs
from stepkit.system import atomic_files, locks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager


@dataclass(frozen=True, kw_only=True)
class File:
    """A file: ``size`` is in bytes, ``version`` changes with its content."""

    size: int
    version: str


class DirectoryStore:
    """The files below ``root``; a :class:`ConfigurationError` says that it is not a directory."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        if not self._root.is_dir():
            raise ConfigurationError(f"there is no directory {self._root}", reason=Reason.NOT_FOUND)

    def location(self, key: str) -> str:
        """Return the absolute path."""
        return os.path.normpath(self._root / key)

    def exclusive(self) -> AbstractContextManager[None]:
        """Lock the directory; a file server without locks keeps nobody out."""
        return locks.locked_directory(self._root)

    def listing(self) -> Mapping[str, File]:
        """Return each run.json and the pages beside it."""
        found = {}
        for record in find_runs(self._root):
            for path in (record, *record.parent.glob("report*.html")):
                if file := self._file(path):
                    found[path.relative_to(self._root).as_posix()] = file
        return found

    def version(self, key: str) -> str | None:
        """Return the version of a file: its inode, size and time."""
        file = self._file(self._root / key)
        return file.version if file else None

    def contents(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | StepError]]:
        """Yield each of ``keys`` with its content, or why it cannot be read."""
        for key in keys:
            try:
                yield key, atomic_files.read(self._root / key)
            except StepError as error:
                yield key, error

    def replace(self, key: str, content: bytes, media_type: str, *, version: str | None) -> bool:  # noqa: ARG002 - a file has no media type
        """Write the file beside its place and move it there, but not through a link."""
        path = self._root / key
        if not Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(self._root)):
            raise ConfigurationError(f"{path} leads out of {self._root}, through a link")
        if self.version(key) != version:
            return False
        atomic_files.write_atomically(path, content)
        return True

    def _file(self, path: Path) -> File | None:
        try:
            found = path.lstat()
        except OSError:
            return None
        version = f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}"
        return File(size=found.st_size, version=version)
