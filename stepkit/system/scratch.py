"""Scratch: what a step writes beside its target before it moves that into place.

Each scratch file or directory is named ``.NAME.stepkit-XXXXXXXX``, and the process that makes it
holds a lock on it. So it is never taken for an artifact, and a later run removes what a killed run
left and leaves alone what another one still writes.
"""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NAME: Final = re.compile(r"\.(?P<target>.+)\.stepkit-[a-z0-9_]{8}", re.ASCII | re.DOTALL)
_LONGEST_TARGET: Final = 200  # bytes of its name; a file system takes 255
_OPEN: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_cleared: Final[set[Path]] = set()  # directories from which this process removed what was left


def name_for(name: str) -> str:
    """Return a new name for the scratch of a target called ``name``."""
    import secrets

    short = os.fsencode(name)[:_LONGEST_TARGET].decode(errors="ignore")
    return f".{short}.stepkit-{secrets.token_hex(4)}"


def is_scratch(name: str) -> bool:
    """Return whether a file or directory called ``name`` is scratch."""
    return _NAME.fullmatch(name) is not None


def target_of(path: Path) -> Path | None:
    """Return the target of the scratch at ``path``; None if ``path`` has another name."""
    found = _NAME.fullmatch(path.name)
    return path.with_name(found["target"]) if found else None


def hold(handle: int) -> None:
    """Lock open scratch, so that no other process removes it before ``handle`` is closed."""
    with suppress(OSError):  # a file system without locks, where nothing unlocked is removed either
        fcntl.flock(handle, fcntl.LOCK_EX)


def release(handle: int) -> None:
    """Unlock what is scratch no more, and stays open: SMB keeps readers of a locked file out."""
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_UN)


def in_use(path: Path) -> bool:
    """Return whether a process holds the scratch at ``path``."""
    with suppress(FileNotFoundError, PermissionError):
        handle = _open_existing(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a file system without locks
            return False
        finally:
            os.close(handle)
    return False


@contextmanager
def file(target: Path) -> Iterator[tuple[Path, int]]:
    """Yield a new file beside ``target`` and its descriptor, for writing.

    It is removed at the end of the block if it was not moved by then. Raises :class:`OSError`.
    """
    remove_left(target.parent)
    # mkstemp would make the file private, and where the directory has a default ACL, the umask does
    # not say which permissions to add again.
    flags = _OPEN | os.O_RDWR | os.O_CREAT | os.O_EXCL
    path, handle = _make(target, lambda path: os.open(path, flags, 0o666))
    try:
        yield path, handle
    finally:
        os.close(handle)
        path.unlink(missing_ok=True)


@contextmanager
def directory(target: Path) -> Iterator[Path]:
    """Yield a new directory beside ``target``, for this user alone, until the end of the block.

    Raises :class:`OSError`.
    """
    import shutil

    remove_left(target.parent)

    def make(path: Path) -> int:
        path.mkdir(mode=0o700)
        return _open_existing(path)

    path, handle = _make(target, make)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(handle)


def remove_left(directory: Path) -> None:
    """Remove from ``directory`` the scratch that no process holds: of killed runs.

    A process does so once for each directory. What cannot be removed stays, with what may be the
    only copy of a directory, and what is on a file system without locks.
    """
    if directory in _cleared:
        return
    _cleared.add(directory)
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if is_scratch(entry.name) and not entry.is_symlink():
                with suppress(OSError):
                    _remove_unless_held(Path(entry.path))


def of(target: Path) -> list[Path]:
    """Return the scratch directories of ``target``."""
    beside = (path for path in target.parent.iterdir() if target_of(path) == target)
    return [path for path in beside if path.is_dir() and not path.is_symlink()]


def remove_of(target: Path) -> None:
    """Remove the scratch directories of ``target``, also on a file system without locks.

    The caller must hold the lock of ``target`` itself.
    """
    import shutil

    for path in of(target):
        shutil.rmtree(path, ignore_errors=True)


def holds_only_copy(path: Path) -> bool:
    """Return whether the scratch directory may hold the only copy of its target."""
    target = target_of(path)
    return bool(target and os.path.lexists(path / "old") and not os.path.lexists(target))


def _make(target: Path, make: Callable[[Path], int]) -> tuple[Path, int]:
    while True:
        path = target.with_name(name_for(target.name))
        handle = make(path)
        hold(handle)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.lstat()):
                return path, handle
        os.close(handle)  # another process removed it before it was locked


def _open_existing(path: Path) -> int:
    folder = path.is_dir()  # NFS locks a file only if it is open for writing
    return os.open(path, _OPEN | (os.O_RDONLY | os.O_DIRECTORY if folder else os.O_RDWR))


def _remove_unless_held(path: Path) -> None:
    """Remove scratch; raise :class:`OSError` if a process holds it, or it cannot be locked."""
    import shutil

    handle = _open_existing(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not path.is_dir():
            path.unlink()
        elif not holds_only_copy(path):
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(handle)
