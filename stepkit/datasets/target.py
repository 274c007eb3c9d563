"""Where a dataset goes: a file, or the directory of an archive's files."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from stepkit.datasets import archive_members, unpack
from stepkit.datasets.link_or_copy import place
from stepkit.datasets.manifest import Dataset
from stepkit.errors import ConfigurationError
from stepkit.system import atomic_files, backups

if TYPE_CHECKING:
    from stepkit.datasets.archive_members import Kind
    from stepkit.datasets.shared_download import Held

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class There:
    """What is at its place already; ``size`` in bytes, that of an archive itself."""

    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Target:
    """The place of one dataset."""

    path: Path
    dataset: Dataset

    @classmethod
    def of(cls, dataset: Dataset, directory: Path) -> Self:
        """Return the place below ``directory``.

        Raises :class:`ConfigurationError` when something is there that must not be replaced, or
        a link leads out of the directory.
        """
        path = directory / dataset.path
        inside, root = os.path.realpath(path.parent), os.path.realpath(directory)
        if os.path.commonpath([inside, root]) != root:
            raise ConfigurationError(f"{path} leads out of {directory}, through a link")
        if path.is_symlink():
            raise ConfigurationError(f"{path} is a symbolic link: remove it, or name another path")
        target = cls(path=path, dataset=dataset)
        if dataset.unpacked:
            target._check_directory()
        elif path.is_dir():
            raise ConfigurationError(f"{path} is a directory: name another path for the file")
        return target

    def _check_directory(self) -> None:
        path = self.path
        if not path.exists():
            return
        if not path.is_dir():
            raise ConfigurationError(f"{path} is a file: name a directory for what is unpacked")
        if atomic_files.is_mount_point(path):
            raise ConfigurationError(f"{path} is a mount point: name a directory inside it")
        with atomic_files.explaining(f"cannot read {path}"):
            filled = any(path.iterdir())
        if filled and not (path / unpack.MARK).is_file():
            raise ConfigurationError(
                f"{path} holds files that were not unpacked there by stepkit: not replacing them; "
                "name another path or move them away"
            )

    def right(self, sha256: str | None) -> There | None:
        """Return what is there if it is what ``sha256`` says, of the file as it is downloaded."""
        if sha256 is None:
            return None
        if self.dataset.unpacked:
            unpacked = unpack.intact(self.path, sha256)
            return There(sha256=sha256, size=unpacked) if unpacked is not None else None
        if not self.path.is_file():
            return None
        with atomic_files.explaining(f"cannot read {self.path}"):
            size = self.path.stat().st_size
            known = self.dataset.size
            alike = known in {None, size} and atomic_files.sha256(self.path) == sha256
        return There(sha256=sha256, size=size) if alike else None

    def fill(self, held: Held, *, link: bool, move: bool) -> None:
        """Put the file there, or what it holds; ``move`` leaves nothing of it where it was.

        Raises :class:`stepkit.errors.StepError`.
        """
        if self.dataset.unpacked:
            self._unpack(held)
        else:
            if self.path.exists():
                logger.warning("%s is another file than it should be: replacing it", self.path)
            place(held.path, self.path, link=link, move=move)
        if move:
            with atomic_files.explaining(f"cannot remove {held.path}"):
                held.path.unlink(missing_ok=True)
                held.path.with_name(f"{held.path.name}.json").unlink(missing_ok=True)

    def _unpack(self, held: Held) -> None:
        if self.path.parent.is_dir():
            atomic_files.remove_scratch(self.path)
        backup = backups.path_for(self.path)
        with (
            atomic_files.replacing(self.path, backup=backup, keep=unpack.holds_work) as new,
            atomic_files.explaining(f"cannot unpack {held.path}"),
        ):
            kind = self._kind(held.path)
            done = unpack.unpack(held.path, new, sha256=held.sha256, kind=kind)
        logger.info("%s: %d files, %.1f MB", self.path, done.count, done.size / 1e6)
        if os.path.lexists(backup):
            logger.warning("the older %s had changes: kept as %s", self.path, backup)

    def _kind(self, path: Path) -> Kind:
        asked = self.dataset.unpack
        if asked in {"tar", "zip"}:
            return asked
        return archive_members.kind_by_name(self.dataset.name) or archive_members.kind_by_content(
            path
        )
