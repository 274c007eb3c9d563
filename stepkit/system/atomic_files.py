"""Write files and replace directories whole or not at all.

Every command imports this module at its start, so it imports what few commands need where it is
used.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from stepkit.errors import ConfigurationError
from stepkit.system import os_errors, scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import IO


@contextmanager
def explaining(what: str) -> Iterator[None]:
    """Turn an :class:`OSError` of the block into a :class:`StepError` that begins with ``what``."""
    try:
        yield
    except OSError as error:
        raise os_errors.explain(what, error) from error


def read(path: Path) -> bytes:
    """Return the content of a regular file; a pipe, which would block for ever, is refused.

    Raises :class:`ConfigurationError` when it cannot be read.
    """
    with explaining(f"cannot read {path}"):
        if path.exists() and not path.is_file():
            raise ConfigurationError(f"cannot read {path}: it is not a regular file")
        return path.read_bytes()


def read_at_most(path: Path, most: int) -> bytes:
    """Return the first ``most`` bytes of a file that a notebook may have replaced by a pipe.

    Raises :class:`OSError`; a pipe that holds nothing counts as empty, or raises it.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags), "rb") as file:
        return file.read(most) or b""


def write_atomically(
    path: Path, content: str | bytes | Iterable[str], *, durable: bool = True
) -> None:
    """Write ``content`` so that a reader sees the old file or the new one, never a part.

    Pieces of an iterable are written as they come. Missing directories are made. ``durable`` waits
    until the disk has the file, which then outlives a power cut. Raises :class:`StepError` when
    the file cannot be written.
    """
    pieces = [content] if isinstance(content, str | bytes) else content
    with explaining(f"cannot write {path}"):
        check_regular(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch.file(path) as (new, handle), os.fdopen(handle, "wb", closefd=False) as file:
            for text in pieces:
                data = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
                file.write(data)
            file.flush()
            if durable:
                os.fsync(handle)
            new.replace(path)


def sync(directory: Path) -> None:
    """Wait until the disk has the names in ``directory``. Raises :class:`OSError`."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _try_sync(directory: Path) -> None:
    """Sync a directory, if this user may read it and its file system can do so."""
    with suppress(OSError):
        sync(directory)


def check_regular(path: Path) -> None:
    """Refuse to put a file in the place of a device, a pipe or a directory.

    Raises :class:`ConfigurationError`.
    """
    if path.exists() and not path.is_file():
        raise ConfigurationError(f"cannot write {path}: it exists and is not a regular file")


def append(path: Path, text: str) -> None:
    """Add ``text`` to the end of a file, made if it is missing."""
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def remove_link(path: Path) -> None:
    """Remove a link in the place of a file to write: a checkout may hold one to any file.

    Those of ``/dev`` and ``/proc``, and links to them, stay. Raises :class:`OSError`.
    """
    if path.is_symlink():
        ends = (path.absolute(), path.readlink())
        if not any(str(end).startswith(("/dev/", "/proc/")) for end in ends):
            path.unlink()


def with_suffix(path: Path, suffix: str) -> Path:
    """Return ``path`` with ``suffix`` before its extension, unless it is there already."""
    return path if path.stem.endswith(suffix) else path.with_stem(path.stem + suffix)


def opened(stack: ExitStack, path: Path | None) -> IO[str] | None:
    """Open a file for writing until ``stack`` ends; None stays None.

    Raises :class:`StepError` when it cannot be written. So does the end of ``stack``, because the
    disk may be full when the last text is written.
    """
    if path is None:
        return None
    with explaining(f"cannot write {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_link(path)
        file = path.open("w", encoding="utf-8", errors="surrogatepass")
    stack.callback(_close, file)
    return file


def _close(file: IO[str]) -> None:
    with explaining(f"cannot write {file.name}"):
        file.close()


def copy_atomically(source: Path, target: Path) -> None:
    """Copy one file so that ``target`` is the old file or the whole new one."""
    with explaining(f"cannot copy {source} to {target}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            source.open("rb") as old,
            scratch.file(target) as (new, handle),
            os.fdopen(handle, "wb", closefd=False) as copy,
        ):
            shutil.copyfileobj(old, copy)
            copy.flush()
            os.fsync(handle)
            new.replace(target)


def check_writable(directory: Path) -> None:
    """Make ``directory`` and a file in it, before any work depends on it."""
    with explaining(f"cannot write to {directory}"):
        directory.mkdir(parents=True, exist_ok=True)
        with scratch.file(directory / "probe"):
            pass


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def near_names(path: Path) -> str:
    """Return a hint at files with a similar name, `` (did you mean a.ipynb?)``, or ``""``.

    Without one it names files of the same kind, if there are any.
    """
    import difflib

    try:
        beside = path.parent.iterdir()
        stems = [other.stem for other in beside if other.suffix == path.suffix]
    except OSError:
        return ""
    if near := difflib.get_close_matches(path.stem, stems, n=3, cutoff=0.6):
        return f" (did you mean {' or '.join(stem + path.suffix for stem in near)}?)"
    of_a_kind = [stem + path.suffix for stem in sorted(stems)[:3]] if path.suffix else []
    return f" (beside it: {', '.join(of_a_kind)})" if of_a_kind else ""


def is_mount_point(path: Path) -> bool:
    """Return whether something is mounted at ``path``, bind mounts of the same disk included.

    :func:`os.path.ismount` compares device numbers, which misses a bind mount of the same disk; a
    Kubernetes subPath is one.
    """
    from stepkit.system import mounts

    return path.is_mount() or Path(os.path.realpath(path)) in {point for point, _ in mounts.table()}


def empty(directory: Path) -> None:
    """Remove the content of ``directory``; a link in it is removed and not followed.

    Raises :class:`ConfigurationError` when ``directory`` itself is a link or a file.
    """
    if directory.is_symlink() or not directory.is_dir():
        raise ConfigurationError(f"{directory} is not a real directory: not emptying it")
    with explaining(f"cannot empty {directory}"):
        for entry in directory.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


@contextmanager
def replacing(
    destination: Path, *, backup: Path | None = None, keep: Callable[[Path], bool] | None = None
) -> Iterator[Path]:
    """Yield an empty directory that replaces ``destination`` if the block succeeds.

    The disk has the whole new directory before it gets its name, which then outlives a power cut.
    The old directory becomes ``backup``. It is removed from there if ``keep``, called with the
    backup, returns false; without ``backup`` it is removed at once. The destination is never
    missing or half full where the file system can exchange two directories (ext4, xfs, btrfs,
    tmpfs, overlay); elsewhere it is missing between two renames. Whenever this is interrupted, the
    old directory is either at ``destination`` or at ``backup``.

    Raises :class:`StepError` when the directory cannot be replaced.
    """
    from stepkit.system.rename_exchange import exchange
    from stepkit.system.sync_file_system import sync_file_system

    with ExitStack() as held:
        with explaining(f"cannot make a directory beside {destination}"):
            destination.parent.mkdir(parents=True, exist_ok=True)
            beside = held.enter_context(scratch.directory(destination))
            new = beside / "new"
            new.mkdir()
        yield new
        with explaining(f"cannot move the new {destination.name} to {destination}"):
            sync_file_system(new)
            if not os.path.lexists(destination):
                new.rename(destination)
                _try_sync(destination.parent)
                return
            old = backup or beside / "old"
            exchange(new, destination, old)
            _try_sync(destination.parent)  # before the old one is removed
            if backup and keep and not keep(backup):
                backup.rename(beside / "old")


def umask() -> int:
    """Return this process's umask; unlike :func:`os.umask`, change it at no moment."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022
