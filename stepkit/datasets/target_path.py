"""Where a dataset goes: a file, or a directory for the files of an archive."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from stepkit.datasets import archive_members, unpack
from stepkit.datasets.checksums import Checksums
from stepkit.datasets.link_or_copy import put_file
from stepkit.datasets.manifest import Dataset
from stepkit.errors import ConfigurationError
from stepkit.system import atomic_files, backup_names, scratch

if TYPE_CHECKING:
    from stepkit.datasets.link_or_copy import How
    from stepkit.datasets.shared_download import CachedFile

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Target:
    """The path of one dataset."""

    path: Path
    dataset: Dataset

    @classmethod
    def of(cls, dataset: Dataset, directory: Path) -> Self:
        """Return the target of ``dataset`` below ``directory``.

        Raises :class:`ConfigurationError` when something is there that must not be replaced, or
        a link leads out of the directory.
        """
        path = directory / dataset.path
        inside, root = os.path.realpath(path.parent), os.path.realpath(directory)
        if os.path.commonpath([inside, root]) != root:
            raise ConfigurationError(f"{path} leads out of {directory}, through a link")
        if path.is_symlink():
            raise ConfigurationError(f"{path} is a symbolic link: remove it, or name another path")
        if dataset.unpacked:
            _check_directory(path)
        elif path.is_dir():
            raise ConfigurationError(f"{path} is a directory: name another path for the file")
        return cls(path=path, dataset=dataset)

    def installed(self, sha256: str | None) -> tuple[str, int] | None:
        """Return the SHA-256 and the size of the dataset if it is here, or was unpacked here.

        ``sha256`` is None where only its MD5 is known: an archive is then taken as not unpacked.
        """
        if self.dataset.unpacked:
            size = unpack.intact(self.path, sha256) if sha256 else None
            return (sha256, size) if sha256 and size is not None else None
        if not self.path.is_file():
            return None
        expected, md5 = self.dataset.size, self.dataset.md5
        with atomic_files.explaining(f"cannot read {self.path}"):
            size = self.path.stat().st_size
            if expected and not expected.fits(size):
                return None
            found = Checksums.of(self.path, md5=bool(md5))
        if found.sha256 != (sha256 or found.sha256) or found.md5 != (md5 or ""):
            return None
        return found.sha256, size

    def remove_scratch(self) -> None:
        """Remove what a run left that was killed while it put the dataset here."""
        if self.path.parent.is_dir():
            scratch.remove_of(self.path)

    def install(self, cached: CachedFile, how: How) -> None:
        """Put the file, or what it holds, at the target; ``move`` leaves nothing in the cache.

        Raises :class:`stepkit.errors.StepError`.
        """
        if self.dataset.unpacked:
            self._unpack(cached)
        else:
            if self.path.exists():
                logger.warning("%s is another file than it should be: replacing it", self.path)
            put_file(cached.path, self.path, how)
        if how == "move":
            with atomic_files.explaining(f"cannot remove {cached.path}"):
                cached.path.unlink(missing_ok=True)
                cached.path.with_name(f"{cached.path.name}.json").unlink(missing_ok=True)

    def _unpack(self, cached: CachedFile) -> None:
        backup = backup_names.path_for(self.path)
        asked = self.dataset.unpack
        with (
            atomic_files.replacing(self.path, backup=backup, keep=unpack.holds_work) as new,
            atomic_files.explaining(f"cannot unpack {cached.path}"),
        ):
            if asked in {"tar", "zip"}:
                kind = asked
            else:
                by_name = archive_members.kind_by_name(self.dataset.name)
                kind = by_name or archive_members.kind_by_content(cached.path)
            done = unpack.unpack(cached.path, new, sha256=cached.sidecar.sha256, kind=kind)
        logger.info("%s: %d files, %.1f MB", self.path, done.count, done.size / 1e6)
        if os.path.lexists(backup):
            logger.warning("the older %s had changes: kept as %s", self.path, backup)


def _check_directory(path: Path) -> None:
    """Refuse to replace anything but a directory that was unpacked by stepkit."""
    if not path.exists():
        return
    if not path.is_dir():
        raise ConfigurationError(f"{path} is a file: name a directory for what is unpacked")
    if atomic_files.is_mount_point(path):
        raise ConfigurationError(f"{path} is a mount point: name a directory inside it")
    with atomic_files.explaining(f"cannot read {path}"):
        filled = any(path.iterdir())
    if filled and not (path / unpack.MARKER).is_file():
        raise ConfigurationError(
            f"{path} holds files that were not unpacked there by stepkit: not replacing them; "
            "name another path or move them away"
        )
