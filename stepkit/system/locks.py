"""Locks between processes, by flock(2): a lock ends with the process that holds it."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_GROUP_MODE: Final = 0o664  # for the other users of the group, whatever the umask


def acquire(path: Path, *, wait: bool = True, create: bool = True, shared: bool = False) -> int:
    """Lock the file at ``path`` and return its descriptor; closing that releases the lock.

    A file that its last holder removed does not count: the one now at ``path`` is locked. Raises
    :class:`BlockingIOError` when another process holds the lock and ``wait`` is false, and
    another :class:`OSError` when the file cannot be opened or locked. Without ``create`` the file
    is opened for reading alone, and may be a directory. Several processes may hold the lock at
    once if each of them asks for a ``shared`` one.
    """
    # With these flags a named pipe does not block.
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    flags |= os.O_RDWR | os.O_CREAT if create else os.O_RDONLY
    kind = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    while True:
        lock = os.open(path, flags, 0o666)
        try:
            fcntl.flock(lock, kind)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(lock), path.stat()):
                    return lock
        except BaseException as error:
            os.close(lock)
            if isinstance(error, OSError) and error.errno == errno.EACCES:  # how CIFS says EAGAIN
                raise BlockingIOError(errno.EAGAIN, error.strerror) from error
            raise
        os.close(lock)


def acquire_for_group(path: Path, *, wait: bool = True, shared: bool = False) -> int:
    """Lock as :func:`acquire` does, by a file that all users of the group can lock."""
    try:
        lock = acquire(path, wait=wait, shared=shared)
    except PermissionError as error:  # another user's file can be locked all the same, not on NFS
        try:
            return acquire(path, wait=wait, create=False, shared=shared)
        except FileNotFoundError:
            raise error from None
    with suppress(OSError):
        os.fchmod(lock, _GROUP_MODE)
    return lock


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time into the block, of any user of the group; the others wait.

    The lock file and its directory are made if they are missing. Raises
    :class:`~stepkit.errors.StepError` when ``path`` cannot be locked.
    """
    with atomic_files.explaining(f"cannot lock {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = acquire_for_group(path)
    try:
        yield
    finally:
        os.close(lock)


@contextmanager
def locked_directory(directory: Path) -> Iterator[None]:
    """Let one process at a time into the block, by a lock of the directory itself.

    Nothing is written for it. NFS and file systems without locks do not lock a directory: others
    are not kept out there.
    """
    with ExitStack() as held:
        with suppress(OSError):
            held.callback(os.close, acquire(directory, create=False))
        yield


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock; one that cannot be tried counts as held."""
    try:
        os.close(acquire(path, wait=False, create=False))
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
