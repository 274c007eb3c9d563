"""A file of the cache at the place where it is used.

A copy is the default: a notebook that writes into its dataset then spoils its own. Where the file
system can (btrfs, xfs), the copy shares its blocks with the original until one of them changes. A
hard link takes no space either way, is read-only, and what root writes into it reaches the cache.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import shutil
from typing import TYPE_CHECKING, Final

from stepkit.errors import Reason, ToolError
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

_FICLONE: Final = 0x40049409  # linux/fs.h
_NO_LINK: Final = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}


def place(source: Path, target: Path, *, link: bool = False, move: bool = False) -> None:
    """Put ``source`` at ``target``, all at once: copied, hard-linked, or moved.

    Where a link or a move is not possible, a copy is made. Only the holder of a lock of ``target``
    may call this. Raises :class:`stepkit.errors.StepError`.
    """
    scratch = _scratch(target)
    with atomic_files.explaining(f"cannot write {target}"):
        atomic_files.check_regular(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch.unlink(missing_ok=True)
        try:
            if not (link and _linked(source, scratch)) and not (move and _moved(source, scratch)):
                _copy(source, scratch)
            scratch.replace(target)
        finally:
            scratch.unlink(missing_ok=True)


def _scratch(target: Path) -> Path:
    """Name the file beside ``target`` that a killed run may leave, and the next one removes."""
    name = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    return target.with_name(f".{name}.stepkit-new")


def _linked(source: Path, scratch: Path) -> bool:
    try:
        scratch.hardlink_to(source)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        logger.warning("no hard link from the cache is possible (%s): copying", error.strerror)
        return False
    return True


def _moved(source: Path, scratch: Path) -> bool:
    try:
        source.replace(scratch)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        return False
    scratch.chmod(0o666 & ~atomic_files.umask())
    return True


def _copy(source: Path, scratch: Path) -> None:
    with source.open("rb") as old, scratch.open("xb") as new:
        try:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        except OSError:
            _check_space(source, scratch)
            shutil.copyfile(source, scratch)
        os.fsync(new.fileno())


def _check_space(source: Path, target: Path) -> None:
    need, disk = source.stat().st_size, os.statvfs(target.parent)
    if need > (free := disk.f_bavail * disk.f_frsize):
        raise ToolError(
            f"{target.parent} has {free / 1e6:.1f} MB of free space, and a copy needs "
            f"{need / 1e6:.1f} MB: free some and run again",
            reason=Reason.DISK_FULL,
        )
