"""Remove a directory so that a killed removal leaves nothing half at its name.

It gets another name first, beside where it stood, and is then removed from within, by directory
handle: no link is followed, and nothing that is mounted in it is touched.
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
    from collections.abc import Callable, Iterator

TRASH: Final = ".stepkit-trash-"  # and 16 hexadecimal digits

_TRASH: Final = re.compile(re.escape(TRASH) + "[0-9a-f]{16}")
_BLOCK: Final = 512  # bytes of st_blocks, whatever the file system's own are; stat(2)
_DENIED: Final = {errno.EACCES, errno.EPERM}
_PASSES: Final = 2  # the second after the rights of our own directories are set right


@dataclass(frozen=True)
class Measured:
    """``size`` is what its removal frees, in bytes; ``changed`` is in seconds since 1970."""

    size: int
    changed: float


def measure(path: Path) -> Measured:
    """Look at all that ``path`` holds, without following links.

    A file that has links elsewhere counts for nothing. ``changed`` is the newest mtime: a pod's
    start may renew every ctime, because the kubelet hands each file to the ``fsGroup``. What
    cannot be read is passed over.
    """
    size, changed = 0, 0.0
    seen: Counter[tuple[int, int]] = Counter()
    for found in _all_of(path):
        changed = max(changed, found.st_mtime)
        key = (found.st_dev, found.st_ino)
        seen[key] += 1
        if stat.S_ISDIR(found.st_mode) or seen[key] == found.st_nlink:
            size += found.st_blocks * _BLOCK
    return Measured(size, changed)


def _all_of(path: Path) -> Iterator[os.stat_result]:
    with suppress(FileNotFoundError):
        yield path.lstat()
    waiting = [path] if path.is_dir() and not path.is_symlink() else []
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    yield entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))


def is_trash(path: Path) -> bool:
    """Tell whether :func:`remove` gave ``path`` its name."""
    return bool(_TRASH.fullmatch(path.name))


def remove(path: Path) -> None:
    """Remove a file, a link or a whole directory; it is gone, or has its name, at once.

    Raises :class:`ToolError` that names what stays and its owner; all else is removed then.
    """
    if inside := mounts.inside(path) if path.is_dir() and not path.is_symlink() else []:
        raise ToolError(f"cannot remove {path}: something is mounted at {inside[0]}: unmount it")
    trash = path
    if not is_trash(path):
        trash = path.with_name(TRASH + secrets.token_hex(8))
        try:
            path.rename(trash)
        except FileNotFoundError:  # another one was quicker
            return
        except OSError as error:
            raise _stays(path, path, error) from error
    if trouble := _emptied(trash):
        raise _stays(path, *trouble)


@contextmanager
def unchanged(directory: Path) -> Iterator[None]:
    """Let a removal from ``directory`` not look like a sign of life: its mtime stays."""
    before = directory.stat()
    yield
    with suppress(OSError):  # another user's
        os.utime(directory, ns=(before.st_atime_ns, before.st_mtime_ns))


def _emptied(trash: Path) -> tuple[Path, OSError] | None:
    """Remove ``trash``; return the first thing in it that stays, and why."""
    failed: list[tuple[Path, OSError]] = []
    for _ in range(_PASSES):
        failed = _attempt(trash)
        denied = [path for path, error in failed if error.errno in _DENIED]
        around = {directory for path in denied for directory in (path, path.parent)}
        if not [directory for directory in around if _made_ours(directory)]:
            break
    if failed or not os.path.lexists(trash):
        return failed[0] if failed else None
    return trash, OSError(errno.ENOTEMPTY, "something is written into it")


def _attempt(trash: Path) -> list[tuple[Path, OSError]]:
    failed: list[tuple[Path, OSError]] = []

    def note(_: Any, name: str, error: BaseException) -> None:
        if not isinstance(error, OSError):
            raise error
        # A directory that is not empty is so because something in it, noted before, stays.
        if error.errno not in {errno.ENOENT, errno.ENOTEMPTY}:
            failed.append((Path(name), error))

    if trash.is_dir() and not trash.is_symlink():
        _rmtree(trash, note)
    else:
        try:
            trash.unlink(missing_ok=True)
        except OSError as error:
            failed.append((trash, error))
    return failed


def _rmtree(path: Path, note: Callable[[Any, str, BaseException], None]) -> None:
    if sys.version_info >= (3, 12):
        shutil.rmtree(path, onexc=note)
    else:
        shutil.rmtree(path, onerror=lambda call, name, info: note(call, name, info[1]))


def _made_ours(directory: Path) -> bool:
    """Give the owner of a directory, if that is us, the rights to empty it; tell whether it did."""
    with suppress(OSError):
        handle = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(handle)
            lacking = found.st_mode & stat.S_IRWXU != stat.S_IRWXU
            if found.st_uid == os.geteuid() and lacking:
                # fchmod takes no handle of a directory that we may not read.
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
