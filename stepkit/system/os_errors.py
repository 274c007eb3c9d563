"""Say what an error of the operating system means for a step: whose it is, and what to do."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.system import disk

if TYPE_CHECKING:
    from collections.abc import Iterator

_FULL: Final = {errno.ENOSPC, errno.EDQUOT}
_DENIED: Final = {errno.EACCES, errno.EPERM}
# What another try may find otherwise: a busy machine, or a disk or a server that does not answer.
_PASSING: Final = {errno.EAGAIN, errno.ENOMEM, errno.ENFILE, errno.EIO, errno.ESTALE}
_REMEDIES: Final = {
    errno.EEXIST: "a file is in the way: move it, or choose another path",
    errno.EROFS: "choose a writable path",
    errno.ENAMETOOLONG: "a name takes 255 bytes, and a path 4095",
    errno.EMFILE: "let the process open more files (ulimit -n)",
    errno.ENOLCK: "mount the file system with locks, or choose another one",
    errno.EOPNOTSUPP: "choose a file system that supports it",
}
# What a path may be, though no step expects it: these errors name the path.
_OF_A_PATH: Final = {
    *_DENIED, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR,
    errno.ENXIO, errno.E2BIG,
}  # fmt: skip


def explain(what: str, error: OSError) -> StepError:
    """Return ``error`` as a :class:`StepError` that begins with ``what`` and ends with a remedy.

    It is a :class:`ToolError` for what may pass, such as a full disk, else our user's.
    """
    why = error.strerror or str(error)
    if error.errno in _FULL:
        remedy = f"free some {_lacking(error)} and run again"
        return ToolError(f"{what}: {why}: {remedy}", reason=Reason.DISK_FULL)
    if error.errno in _DENIED:
        return ConfigurationError(
            f"{what}: {why} for uid {os.getuid()}: choose a path that is open to this user"
        )
    if error.errno in _PASSING:
        return ToolError(f"{what}: {why}")
    remedy = _REMEDIES.get(error.errno or 0, "")
    if _lacks_temporary_directory(error):
        remedy = "name a writable one in TMPDIR"
    return ConfigurationError(f"{what}: {why}: {remedy}" if remedy else f"{what}: {why}")


@contextmanager
def explaining_the_rest() -> Iterator[None]:
    """Turn what the machine refuses in the block, and no step explained, into a StepError.

    Wherever a path is looked at, its directory may be closed to this user, its name too long, or
    the disk full. An :class:`OSError` that cannot be the machine's passes: it is a bug.
    """
    try:
        yield
    except OSError as error:
        named = [os.fsdecode(name) for name in (error.filename, error.filename2) if _is_path(name)]
        ours = _OF_A_PATH if named else set()
        if _lacks_temporary_directory(error):
            raise explain("cannot make a temporary file", error) from error
        if error.errno not in {*ours, *_FULL, *_PASSING, errno.EMFILE, errno.ENOLCK}:
            raise
        what = f"cannot use {' and '.join(named)}" if named else "the system refuses what is needed"
        raise explain(what, error) from error


def _lacking(error: OSError) -> str:
    """Return what the disk of a full path has none of: ``space``, or ``inodes``."""
    with suppress(OSError, TypeError):  # TypeError: it names no path
        return disk.what_is_full(Path(os.fsdecode(error.filename)).parent) or "space"
    return "space"


def _lacks_temporary_directory(error: OSError) -> bool:
    """Whether :mod:`tempfile` found no place; it names those that it tried."""
    return error.errno == errno.ENOENT and "temporary directory" in (error.strerror or "")


def _is_path(name: object) -> bool:
    return isinstance(name, str | bytes | os.PathLike)
