"""An archive's files in a directory of their own, with a mark that tells which archive it was."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepkit.datasets import archive_members
from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.datasets.archive_members import Kind, Member

MARK: Final = ".stepkit-dataset.json"
_SCHEMA: Final = "stepkit.unpacked/1"
_CHUNK: Final = 2**20  # bytes


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much an archive may hold; beyond it is taken for a bomb. Sizes in bytes.

    ``ratio`` is that of what it holds to its own size, and counts once it holds ``harmless``. Real
    data of much more than a hundredfold are mostly zeros; DEFLATE ends at 1032.
    """

    members: int = 1_000_000
    size: int = 2**40
    ratio: int = 200
    harmless: int = 2**30


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """What came out: the number of files and their bytes."""

    count: int
    size: int


def unpack(
    archive: Path, into: Path, *, sha256: str, kind: Kind, limits: Limits | None = None
) -> Unpacked:
    """Write the archive's files below the empty directory ``into``, and a mark with ``sha256``.

    Raises :class:`ConfigurationError` for an archive that is broken, too large or holds more than
    files and directories; :class:`ToolError` for a full disk.
    """
    written: dict[str, list[int]] = {}
    limit = _Limit(limits or Limits(), archive.stat().st_size, into)
    for member in archive_members.members(archive, kind):
        limit.count(member)
        if member.parts[0] == MARK:
            raise ConfigurationError(f"the archive holds {MARK}, which is the name of our mark")
        path, name = into.joinpath(*member.parts), "/".join(member.parts)
        with _placing(name):
            if member.is_directory:
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(member, path)
        stat = path.stat()
        written[name] = [stat.st_size, stat.st_mtime_ns]
    mark = {"schema": _SCHEMA, "sha256": sha256, "size": limit.size, "files": written}
    atomic_files.write_atomically(into / MARK, json.dumps(mark) + "\n")
    return Unpacked(count=len(written), size=sum(size for size, _ in written.values()))


def intact(directory: Path, sha256: str) -> int | None:
    """Return the size of the archive ``sha256`` if all of its files are there, unchanged.

    What was added is no matter. Otherwise, and where nothing was unpacked, None.
    """
    mark = _mark(directory)
    if mark is None or mark["sha256"] != sha256:
        return None
    if any(_state(directory / name) != tuple(told) for name, told in mark["files"].items()):
        return None
    return int(mark["size"])


def holds_work(directory: Path) -> bool:
    """Tell whether ``directory`` holds what was not unpacked there: added or changed since."""
    mark = _mark(directory)
    told = mark["files"] if mark else {}
    for path in _files(directory):
        name = path.relative_to(directory).as_posix()
        if name != MARK and (name not in told or _state(path) != tuple(told[name])):
            return True
    return False


def _mark(directory: Path) -> dict[str, Any] | None:
    try:
        mark = json.loads((directory / MARK).read_bytes())
        whole = mark["schema"] == _SCHEMA and isinstance(mark["size"], int)
        whole = whole and all(len(state) == 2 for state in mark["files"].values())  # noqa: PLR2004 - size and time
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return mark if whole else None


def _state(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.lstat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def _files(directory: Path) -> Iterator[Path]:
    for root, _, names in os.walk(directory):
        yield from (Path(root, name) for name in names)


@contextmanager
def _placing(name: str) -> Iterator[None]:
    """Say which member could not be written, and why."""
    try:
        yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ConfigurationError(
            f"the archive holds {name!a} twice, or as a file and as a directory"
        ) from error
    except OSError as error:
        raise atomic_files.os_error(f"cannot unpack {name!a}", error) from error


def _write(member: Member, path: Path) -> None:
    mode = 0o777 if member.executable else 0o666
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with archive_members.reading(), os.fdopen(fd, "wb") as file, member.open() as source:
        left = member.size
        while chunk := source.read(min(_CHUNK, left)) if left else b"":
            file.write(chunk)
            left -= len(chunk)
        if left or source.read(1):
            raise ConfigurationError(
                f"the archive is broken: {path.name!a} has not the length that it tells"
            )


class _Limit:
    def __init__(self, limits: Limits, size: int, into: Path) -> None:
        self.limits, self.size, self.into = limits, size, into
        self.members = self.total = 0

    def count(self, member: Member) -> None:
        """Refuse the member that makes it too much, before it is written."""
        self.members += 1
        self.total += member.size
        limits = self.limits
        most = min(limits.size, max(limits.harmless, limits.ratio * self.size))
        if self.members > limits.members or self.total > most:
            raise ConfigurationError(
                f"the archive of {self.size} bytes holds more than {limits.members} members or "
                f"{most} bytes: it looks like a bomb; unpack it where you can watch"
            )
        if member.size > (free := shutil.disk_usage(self.into).free):
            raise ToolError(
                f"{self.into} has {free / 1e6:.1f} MB of free space, and the archive's next file "
                f"needs {member.size / 1e6:.1f} MB: free some and run again",
                reason=Reason.DISK_FULL,
            )
