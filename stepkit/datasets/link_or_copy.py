"""Put a file of the cache where it is used: as a copy, a hard link, or by moving it.

A copy is the default: a notebook that writes into its dataset then changes its own copy only. On a
file system that can (btrfs, xfs), the copy shares its blocks with the original until one of them
changes. A hard link takes no space anywhere and is read-only, but what root writes into it reaches
the cache.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
from typing import TYPE_CHECKING, Final, Literal

from stepkit.datasets import free_space
from stepkit.system import atomic_files, scratch

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

How = Literal["copy", "link", "move"]

_FICLONE: Final = 0x40049409  # linux/fs.h
_NOT_POSSIBLE: Final = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}


def put_file(source: Path, target: Path, how: How) -> None:
    """Put ``source`` at ``target``, all at once; a copy where a link or a move is not possible.

    Raises :class:`stepkit.errors.StepError`.
    """
    with atomic_files.explaining(f"cannot write {target}"):
        atomic_files.check_regular(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch.directory(target) as beside:
            new = beside / "new"
            if how == "copy" or not _link_or_move(source, new, how):
                with source.open("rb") as old, new.open("xb") as file:
                    try:
                        fcntl.ioctl(file.fileno(), _FICLONE, old.fileno())
                    except OSError:
                        free_space.check(target.parent, source.stat().st_size, "a copy")
                        shutil.copyfile(source, new)
                    os.fsync(file.fileno())
            new.replace(target)


def _link_or_move(source: Path, new: Path, how: How) -> bool:
    """Whether a link or a move was possible; it is not between two file systems or users."""
    try:
        if how == "link":
            new.hardlink_to(source)
        elif source.stat().st_uid != os.geteuid():
            return False  # the file would stay the other user's, and read-only
        else:
            source.replace(new)
    except OSError as error:
        if error.errno not in _NOT_POSSIBLE:
            raise
        if how == "link":
            logger.warning("no hard link from the cache is possible (%s): copying", error.strerror)
        return False
    if how == "move":
        new.chmod(0o666 & ~atomic_files.umask())
    return True
