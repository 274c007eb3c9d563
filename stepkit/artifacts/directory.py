"""Where artifacts are published to: what every such place can do, and a directory as one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from stepkit.errors import ConfigurationError, Reason
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from stepkit.artifacts.manifest import Artifact


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What is there under a key: ``size`` in bytes; ``sha256`` where the place keeps it."""

    size: int
    sha256: str | None


class Destination(Protocol):
    """A place for files by key, such as ``run-7/output_analysis.html``; nothing is deleted there.

    All raise :class:`ToolError` for what may pass and :class:`ConfigurationError` for what stays.
    """

    def location(self, key: str) -> str:
        """Spell where ``key`` is, for people."""

    def look(self, key: str) -> Stored | None:
        """Return what is there under ``key``, None for nothing."""

    def sha256(self, key: str) -> str:
        """Read what is under ``key`` and return its SHA-256 in hexadecimal."""

    def send(self, source: Path, key: str, artifact: Artifact) -> None:
        """Put the file ``source`` under ``key``, all at once, in the place of what is there."""


class Directory:
    """A directory, on a mount of its own most often."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        if not self._root.is_dir():  # made by us, it would vanish with the container
            raise ConfigurationError(
                f"there is no directory {self._root} to publish to: mount it or make it first",
                reason=Reason.NOT_FOUND,
            )

    def location(self, key: str) -> str:
        """Return the absolute path."""
        return str(self._root / key)

    def look(self, key: str) -> Stored | None:
        """Hash the file of that name."""
        path = self._path(key)
        with atomic_files.explaining(f"cannot read {path}"):
            if not os.path.lexists(path):
                return None
            if path.is_symlink() or not path.is_file():
                raise ConfigurationError(f"cannot publish to {path}: it is no regular file")
            return Stored(size=path.stat().st_size, sha256=atomic_files.sha256(path))

    def sha256(self, key: str) -> str:
        """Hash the file of that name."""
        path = self._path(key)
        with atomic_files.explaining(f"cannot read {path}"):
            return atomic_files.sha256(path)

    def send(self, source: Path, key: str, artifact: Artifact) -> None:  # noqa: ARG002 - a file has no media type
        """Copy beside the file of that name, then move the copy into place."""
        atomic_files.copy_atomically(source, self._path(key))

    def _path(self, key: str) -> Path:
        path = self._root / key
        real = Path(os.path.realpath(path.parent))  # Path.resolve raises for a link to itself
        if not real.is_relative_to(os.path.realpath(self._root)):
            raise ConfigurationError(f"{path} leads out of {self._root}, through a link")
        return path
