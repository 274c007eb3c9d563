"""Destinations of artifacts: what each kind can do, and the kind that is a directory."""

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
    """A file at a destination: ``size`` in bytes; ``sha256`` is None where it is not stored."""

    size: int
    sha256: str | None


class Destination(Protocol):
    """Stores files by key, such as ``run-7/output_analysis.html``, and never deletes one.

    All methods raise :class:`ToolError` for a failure that may pass and
    :class:`ConfigurationError` for one that stays.
    """

    def location(self, key: str) -> str:
        """Return the path or URL of ``key``, for messages."""

    def find(self, key: str) -> Stored | None:
        """Return the file under ``key``, None if there is none."""

    def sha256(self, key: str) -> str:
        """Read the file under ``key`` and return its SHA-256 in hexadecimal."""

    def send(self, source: Path, key: str, artifact: Artifact) -> None:
        """Store the file ``source`` under ``key`` atomically, replacing a file that is there."""


class Directory:
    """A directory as a destination, most often on a separate mount."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        if not self._root.is_dir():  # a new one would vanish with the container
            raise ConfigurationError(
                f"there is no directory {self._root} to publish to: mount it or make it first",
                reason=Reason.NOT_FOUND,
            )

    def location(self, key: str) -> str:
        """Return the absolute path."""
        return str(self._root / key)

    def find(self, key: str) -> Stored | None:
        """Return the size of the file of that name; its checksum costs a read of the file."""
        path = self._path(key)
        with atomic_files.explaining(f"cannot read {path}"):
            if not os.path.lexists(path):
                return None
            if path.is_symlink() or not path.is_file():
                raise ConfigurationError(f"cannot publish to {path}: it is not a regular file")
            return Stored(size=path.stat().st_size, sha256=None)

    def sha256(self, key: str) -> str:
        """Return the checksum of the file of that name."""
        path = self._path(key)
        with atomic_files.explaining(f"cannot read {path}"):
            return atomic_files.sha256(path)

    def send(self, source: Path, key: str, artifact: Artifact) -> None:  # noqa: ARG002 - a file has no media type
        """Copy the file under a scratch name, then move the copy into place."""
        atomic_files.copy_atomically(source, self._path(key))

    def _path(self, key: str) -> Path:
        path = self._root / key
        real = Path(os.path.realpath(path.parent))  # Path.resolve raises for a link to itself
        if not real.is_relative_to(os.path.realpath(self._root)):
            raise ConfigurationError(f"{path} leads out of {self._root}, through a link")
        return path
