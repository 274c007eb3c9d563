"""Remove a directory so that a killed removal never leaves half of it under its name.

The directory is renamed first, and its content is then removed by directory handle: links are not
followed, and a directory with something mounted in it is refused.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
import sys
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ToolError
from stepkit.system import mounts, permissions

if TYPE_CHECKING:
    from collections.abc import Iterator

TRASH: Final = ".stepkit-trash-"  # and 16 hexadecimal digits

_TRASH: Final = re.compile(re.escape(TRASH) + "[0-9a-f]{16}")
_BLOCK: Final = 512  # bytes of st_blocks, on every file system; stat(2)
_DENIED: Final = {errno.EACCES, errno.EPERM}
_PASSES: Final = 2  # the second after the permissions of our own directories are repaired


@dataclass(frozen=True)
class Measured:
    """``size`` is what the removal frees, in bytes; ``changed`` is in seconds since 1970."""

    size: int
    changed: float


def measure(path: Path) -> Measured:
    """Return the size and the newest mtime of ``path`` and its content; links are not followed.

    A file with hard links elsewhere has size 0. ``changed`` is the newest mtime and not a ctime,
    because the start of a pod may renew every ctime: the kubelet gives each file to the
    ``fsGroup``. What cannot be read is skipped.
    """
    size, changed = 0, 0.0
    links: Counter[tuple[int, int]] = Counter()
    waiting = [path]
    while waiting:
        entry = waiting.pop()
        with suppress(OSError):
            found = entry.lstat()
            changed = max(changed, found.st_mtime)
            links[found.st_dev, found.st_ino] += 1
            if stat.S_ISDIR(found.st_mode):
                size += found.st_blocks * _BLOCK
                waiting += entry.iterdir()
            elif links[found.st_dev, found.st_ino] == found.st_nlink:
                size += found.st_blocks * _BLOCK
    return Measured(size, changed)


def is_trash(path: Path) -> bool:
    """Return whether ``path`` was renamed by :func:`remove`."""
    return bool(_TRASH.fullmatch(path.name))


def remove(path: Path) -> None:
    """Remove a file, a link or a whole directory.

    Raises :class:`ToolError` that names what cannot be removed and its owner; the rest is removed
    all the same.
    """
    if inside := mounts.inside(path) if path.is_dir() and not path.is_symlink() else []:
        raise ToolError(f"cannot remove {path}: something is mounted at {inside[0]}: unmount it")
    trash = path
    if not is_trash(path):
        trash = path.with_name(TRASH + secrets.token_hex(8))
        try:
            path.rename(trash)
        except FileNotFoundError:  # another process removes it
            return
        except OSError as error:
            raise _stays(path, path, error) from error
    if failed := _empty(trash):
        raise _stays(path, *failed)


@contextmanager
def keeping_mtime(directory: Path) -> Iterator[None]:
    """Restore the mtime of ``directory`` after a removal in it, which is not a sign of use."""
    before = directory.stat()
    yield
    with suppress(OSError):  # it belongs to another user
        os.utime(directory, ns=(before.st_atime_ns, before.st_mtime_ns))


def _empty(trash: Path) -> tuple[Path, OSError] | None:
    """Remove ``trash``; return the first thing in it that cannot be removed, and why."""
    failed: list[tuple[Path, OSError]] = []
    for _ in range(_PASSES):
        failed = _try_removal(trash)
        denied = [path for path, error in failed if error.errno in _DENIED]
        around = {directory for path in denied for directory in (path, path.parent)}
        if not [directory for directory in around if _make_removable(directory)]:
            break
    if failed or not os.path.lexists(trash):
        return failed[0] if failed else None
    return trash, OSError(errno.ENOTEMPTY, "something is written into it")


def _try_removal(trash: Path) -> list[tuple[Path, OSError]]:
    """Remove what can be removed of ``trash``; return what cannot, and why."""
    failed: list[tuple[Path, OSError]] = []

    def note(_: Any, name: str, error: BaseException) -> None:
        if not isinstance(error, OSError):
            raise error
        # A directory is not empty because something in it stays, and that is noted already.
        if error.errno not in {errno.ENOENT, errno.ENOTEMPTY}:
            failed.append((Path(name), error))

    if not trash.is_dir() or trash.is_symlink():
        try:
            trash.unlink(missing_ok=True)
        except OSError as error:
            failed.append((trash, error))
    elif sys.version_info >= (3, 12):
        shutil.rmtree(trash, onexc=note)
    else:
        shutil.rmtree(trash, onerror=lambda call, name, info: note(call, name, info[1]))
    return failed


def _make_removable(directory: Path) -> bool:
    """Give this user the permission to empty its own directory; return whether that changed it."""
    with suppress(OSError):
        handle = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(handle)
            lacking = found.st_mode & stat.S_IRWXU != stat.S_IRWXU
            if found.st_uid == os.geteuid() and lacking:
                # fchmod does not take a descriptor opened with O_PATH.
                Path(f"/proc/self/fd/{handle}").chmod(stat.S_IMODE(found.st_mode) | stat.S_IRWXU)
                return True
        finally:
            os.close(handle)
    return False


def _stays(path: Path, culprit: Path, error: OSError) -> ToolError:
    what = f"cannot remove {'all of ' if culprit != path else ''}{path}: {error.strerror}"
    if error.errno in _DENIED:
        what += f": {permissions.owner(culprit)}, {permissions.owner(culprit.parent)}"
        what += f", and this process is uid {os.geteuid()}"
    elif culprit != path:
        what += f": {culprit}"
    return ToolError(what)
