"""Exchange two directories of one file system, by renameat2(2) where that is supported."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_AT_FDCWD: Final = -100  # linux/fcntl.h
_RENAME_EXCHANGE: Final = 2  # linux/fs.h, renameat2(2)


def exchange(new: Path, destination: Path, old: Path) -> None:
    """Move ``destination`` to ``old`` and ``new`` to ``destination``, or change nothing.

    Where the file system cannot exchange names, ``destination`` is missing between two renames.
    Raises :class:`OSError`.
    """
    made = new.stat().st_ino
    new.rename(old)  # first, so that the exchange itself moves the old one to its final name
    try:
        if not _exchanged(old, destination):
            old.rename(new)
            destination.rename(old)
            new.rename(destination)
    except BaseException:
        if not os.path.lexists(destination):
            old.rename(destination)
        raise
    finally:
        if os.path.lexists(old) and old.lstat().st_ino == made:
            old.rename(new)  # the exchange failed; the caller removes the new one


def _exchanged(one: Path, other: Path) -> bool:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(one), os.fsencode(other)
    done = libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
    return bool(done == 0)
