"""Share directories with the users of one group, and with no others.

Pods that share a volume often run as different users: OpenShift chooses an arbitrary uid in group
0, an image brings its own uid. What these users share is a group, as with Kubernetes' ``fsGroup``.
"""

from __future__ import annotations

import errno
import logging
import os
import struct
from contextlib import contextmanager, suppress
from stat import S_IMODE, S_IROTH, S_IRWXG, S_IRWXU, S_ISGID, S_IWGRP, S_IWOTH, S_IXOTH
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError
from stepkit.system import os_errors, scratch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)

_DENIED: Final = {errno.EACCES, errno.EPERM}
_PROBE_BYTES: Final = 4096  # one block: a full disk still takes an empty file

# linux/posix_acl_xattr.h: a version, then a tag, permissions and an id for each entry.
_DEFAULT_ACL: Final = "system.posix_acl_default"
_ACL_VERSION: Final = 2
_USER, _GROUP, _OTHER = 0x01, 0x04, 0x20
_NO_ID: Final = 0xFFFFFFFF
_READ_AND_SEARCH: Final = S_IROTH | S_IXOTH


def make_open_as_above(directory: Path) -> None:
    """Make ``directory`` and what is missing above it, each shared if the one above it is.

    A directory is shared if its group may write in it, as on a volume with ``fsGroup``.

    Raises :class:`stepkit.errors.StepError`.
    """
    with explaining(directory, "cannot make"):
        missing = [path for path in (directory, *directory.parents) if not os.path.lexists(path)]
        for path in reversed(missing):
            with suppress(FileExistsError):  # another process makes it, and shares it
                path.mkdir()
                if path.parent.stat().st_mode & S_IWGRP:
                    share(path)


def share(directory: Path) -> None:
    """Let the group of ``directory`` write in it, and in what is made in it later.

    A directory of this user gets ``g=rwxs,o-w``, the group of the directory above if that group
    may write there, and, where the file system supports it, a default ACL, so that the umask of a
    later process does not take rights from the group. A directory of another user is not changed,
    and must let its group write already.

    Raises :class:`ConfigurationError` that names owner, group and mode when it cannot be shared.
    """
    with explaining(directory, "cannot open to its group"):
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(handle)
        if found.st_uid == os.geteuid():
            with explaining(directory, "cannot open to its group"):
                _share_own(handle, directory)
        elif found.st_mode & S_IRWXG != S_IRWXG:
            error = PermissionError(errno.EPERM, "it is another user's")
            raise denied(f"cannot open {directory} to its group", error, directory)
        mode = S_IMODE(os.fstat(handle).st_mode)
    finally:
        os.close(handle)
    if mode & S_IWOTH or not mode & S_ISGID:
        why = "every user may write in it" if mode & S_IWOTH else "files in it do not get its group"
        logger.warning("%s has mode %o: %s, and it cannot be changed", directory, mode, why)


def _share_own(handle: int, directory: Path) -> None:
    above = directory.parent.stat()
    groups = {os.getegid(), *os.getgroups()}
    if above.st_mode & S_IWGRP and above.st_gid in groups - {os.fstat(handle).st_gid}:
        with suppress(OSError):  # CIFS and others have one group for all
            os.fchown(handle, -1, above.st_gid)
    mode = S_IMODE(os.fstat(handle).st_mode)
    wanted = (mode | S_ISGID | S_IRWXU | S_IRWXG) & ~S_IWOTH
    if mode != wanted:
        os.fchmod(handle, wanted)
    entries = ((_USER, 7), (_GROUP, 7), (_OTHER, wanted & _READ_AND_SEARCH))
    packed = b"".join(struct.pack("<HHI", tag, bits, _NO_ID) for tag, bits in entries)
    with suppress(OSError):  # NFS 4, CIFS and others do not support it
        os.setxattr(handle, _DEFAULT_ACL, struct.pack("<I", _ACL_VERSION) + packed)


def check_writable(directory: Path) -> None:
    """Write a block into ``directory``, wait until the disk has it, and remove it.

    Raises :class:`ConfigurationError` that names owner, group and mode when this user may not, and
    :class:`stepkit.errors.ToolError` (``disk-full``) when there is no room.
    """
    with (
        explaining(directory, "cannot write in"),
        scratch.file(directory / "probe") as (_, handle),
    ):
        os.write(handle, bytes(_PROBE_BYTES))
        os.fsync(handle)


@contextmanager
def explaining(path: Path, what: str) -> Iterator[None]:
    """Turn an :class:`OSError` of the block into a :class:`stepkit.errors.StepError`.

    It begins with ``what`` and ``path``, and names owner and group where a permission is missing.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _DENIED:
            raise denied(f"{what} {path}", error, path) from error
        raise os_errors.explain(f"{what} {path}", error) from error


def denied(what: str, error: OSError, path: Path) -> ConfigurationError:
    """Return an error that names the owner of ``path``, or of the nearest directory above it."""
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    groups = " ".join(map(str, sorted({os.getegid(), *os.getgroups()})))
    return ConfigurationError(
        f"{what}: {error.strerror}: {owner(path)}, and this process is uid {os.geteuid()} with "
        f"groups {groups}: give the pod's securityContext an fsGroup that may write there, or let "
        "its owner run chgrp and chmod g+rwxs"
    )


def owner(path: Path) -> str:
    """Return a text with the owner, group and mode of ``path``; a link is not followed."""
    try:
        found = path.lstat()
    except OSError as error:
        return f"{path} cannot be looked at ({error.strerror})"
    return f"{path} has uid {found.st_uid}, gid {found.st_gid}, mode {S_IMODE(found.st_mode):o}"
