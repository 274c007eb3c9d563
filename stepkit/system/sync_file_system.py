"""Wait until the disk has all that was written to a file system, by syncfs(2)."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

# Others mean that syncfs is not to be had here.
_NOT_WRITTEN: Final = {errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE}


def sync_file_system(directory: Path) -> None:
    """Sync the file system of ``directory``; one call costs less than one for each of many files.

    Raises :class:`OSError` when the disk could not take something.
    """
    import ctypes

    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle):
            number = ctypes.get_errno()
            if number in _NOT_WRITTEN:
                raise OSError(number, os.strerror(number))
    finally:
        os.close(handle)
