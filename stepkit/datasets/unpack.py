"""Unpack an archive into a directory, with a marker file that names the archive it holds."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepkit.datasets import archive_members, free_space
from stepkit.errors import ConfigurationError
from stepkit.system import atomic_files, os_errors

if TYPE_CHECKING:
    from stepkit.datasets.archive_members import Kind, Member

MARKER: Final = ".stepkit-dataset.json"
_SCHEMA: Final = "stepkit.unpacked/1"
_CHUNK: Final = 2**20  # bytes


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much an archive may hold before it is taken for a bomb. Sizes are in bytes.

    ``ratio`` is the size of the content divided by that of the archive; it counts once the content
    is larger than ``harmless``. Real data that compress to less than a hundredth are mostly zeros;
    DEFLATE cannot exceed 1032.
    """

    members: int = 1_000_000
    size: int = 2**40
    ratio: int = 200
    harmless: int = 2**30


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """The number of files that were unpacked, and their size in bytes."""

    count: int
    size: int


def unpack(
    archive: Path, into: Path, *, sha256: str, kind: Kind, limits: Limits | None = None
) -> Unpacked:
    """Write the archive's files below the empty directory ``into``, and a marker with ``sha256``.

    Raises :class:`ConfigurationError` for an archive that is broken, too large or holds more than
    files and directories; :class:`ToolError` for a full disk.
    """
    states: dict[str, list[int]] = {}
    made: set[tuple[str, ...]] = set()
    limits, archive_size = limits or Limits(), archive.stat().st_size
    most = min(limits.size, max(limits.harmless, limits.ratio * archive_size))
    total = 0
    for count, member in enumerate(archive_members.members(archive, kind), start=1):
        total += member.size
        if count > limits.members or total > most:
            raise ConfigurationError(
                f"the archive of {archive_size} bytes holds more than {limits.members} members or "
                f"{most} bytes: it looks like a bomb; unpack it where you can watch"
            )
        free_space.check(into, member.size, "the archive's next file")
        if member.parts[0] == MARKER:
            raise ConfigurationError(f"the archive holds {MARKER}, the name of stepkit's marker")
        path, name = into.joinpath(*member.parts), "/".join(member.parts)
        try:
            if member.is_directory:
                path.mkdir(parents=True, exist_ok=True)
                continue
            if member.parts[:-1] not in made:
                path.parent.mkdir(parents=True, exist_ok=True)
                made.add(member.parts[:-1])
            stat = _write(member, path)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise ConfigurationError(
                f"the archive holds {name!a} twice, or as a file and as a directory"
            ) from error
        except OSError as error:
            raise os_errors.explain(f"cannot unpack {name!a}", error) from error
        states[name] = [stat.st_size, stat.st_mtime_ns]
    marker = {"schema": _SCHEMA, "sha256": sha256, "size": archive_size, "files": states}
    atomic_files.write_atomically(into / MARKER, json.dumps(marker) + "\n")
    return Unpacked(count=len(states), size=sum(size for size, _ in states.values()))


def intact(directory: Path, sha256: str) -> int | None:
    """Return the size of the archive ``sha256`` if all of its files are there, unchanged.

    Files that were added do not matter. Otherwise, and where nothing was unpacked, None.
    """
    marker = _read_marker(directory)
    if marker is None or marker.get("sha256") != sha256:
        return None
    if any(_state(directory / name) != state for name, state in marker["files"].items()):
        return None
    return int(marker["size"])


def holds_work(directory: Path) -> bool:
    """Whether ``directory`` holds files that were added or changed since it was unpacked."""
    marker = _read_marker(directory)
    states = marker["files"] if marker else {}
    for root, _, names in os.walk(directory):
        for path in (Path(root, name) for name in names):
            name = path.relative_to(directory).as_posix()
            if name != MARKER and (name not in states or _state(path) != states[name]):
                return True
    return False


def _read_marker(directory: Path) -> dict[str, Any] | None:
    try:
        marker = json.loads((directory / MARKER).read_bytes())
        valid = marker["schema"] == _SCHEMA and isinstance(marker["size"], int)
        valid = valid and all(len(state) == 2 for state in marker["files"].values())  # noqa: PLR2004 - size and time
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return marker if valid else None


def _state(path: Path) -> list[int] | None:
    """Return the size and time by which a changed file is recognised; None if it is not there."""
    try:
        stat = path.lstat()
    except (OSError, ValueError):  # a damaged marker may have names that no file has
        return None
    return [stat.st_size, stat.st_mtime_ns]


def _write(member: Member, path: Path) -> os.stat_result:
    mode = 0o777 if member.executable else 0o666
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with archive_members.explaining_damage(), os.fdopen(fd, "wb") as file, member.open() as source:
        left = member.size
        while chunk := source.read(min(_CHUNK, left)) if left else b"":
            file.write(chunk)
            left -= len(chunk)
        if left or source.read(1):
            raise ConfigurationError(
                f"the archive is broken: {path.name!a} does not have the length in its header"
            )
        file.flush()
        return os.fstat(fd)
