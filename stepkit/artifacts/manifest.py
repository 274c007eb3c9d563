"""The list of the artifacts of a run: written, read again, and held against the files."""

from __future__ import annotations

import json
import logging
import mimetypes
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError, Reason
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

MANIFEST: Final = "manifest.json"
CHECKSUMS: Final = "SHA256SUMS"

_SCHEMA: Final = "stepkit.manifest/1"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SHORT: Final = 12  # characters of a sha256 that people compare
_MEDIA_TYPES: Final = {
    ".ipynb": "application/x-ipynb+json",  # jupyter/nbformat, "Media Type"
    ".h5ad": "application/x-hdf5",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".xml": "application/xml",
}
_UNKNOWN_TYPE: Final = "application/octet-stream"


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One file: ``path`` in the directory with ``/`` between its parts, ``size`` in bytes."""

    path: str
    size: int
    sha256: str
    media_type: str


def read(directory: Path) -> tuple[Artifact, ...]:
    """Return what the manifest in ``directory`` lists.

    Raises :class:`ConfigurationError` when there is none, or when it is no manifest of ours.
    """
    if not directory.is_dir():
        raise ConfigurationError(
            f"there is no directory of artifacts {directory}", reason=Reason.NOT_FOUND
        )
    path = directory / MANIFEST
    if not path.exists():
        raise ConfigurationError(
            f"there is no {MANIFEST} in {directory}: run collect-artifacts first",
            reason=Reason.NOT_FOUND,
        )
    try:
        return _artifacts(json.loads(atomic_files.read(path)))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} is no manifest of collect-artifacts: {error}; run it again"
        ) from error


def describe(path: Path, directory: Path) -> Artifact:
    """Return a file below ``directory`` as the manifest would list it now.

    Raises :class:`~stepkit.errors.StepError` when it cannot be read, or is a link or a pipe.
    """
    with atomic_files.explaining(f"cannot read {path}"):
        if path.is_symlink() or not path.is_file():
            raise ConfigurationError(f"{path} is no regular file: name a file, no link and no pipe")
        return Artifact(
            path=path.relative_to(directory).as_posix(),
            size=path.stat().st_size,
            sha256=atomic_files.sha256(path),
            media_type=_MEDIA_TYPES.get(path.suffix)
            or mimetypes.guess_type(path.name)[0]
            or _UNKNOWN_TYPE,
        )


def regular_files(directory: Path) -> Iterator[Path]:
    """Yield files below ``directory``; links could lead out of it, pipes would block a reader."""
    for path in sorted(directory.rglob("*")):
        if path.parent == directory and path.name in {MANIFEST, CHECKSUMS}:
            continue
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            logger.warning("left out %s: it is no regular file", path)
        elif path.is_file():
            yield path


def write(directory: Path, found: tuple[Artifact, ...]) -> Path:
    """List ``found`` in manifest.json, whose path is returned, and in SHA256SUMS."""
    manifest = {"schema": _SCHEMA, "artifacts": [vars(artifact) for artifact in found]}
    atomic_files.write_atomically(directory / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    atomic_files.write_atomically(directory / CHECKSUMS, b"".join(map(_checksum_line, found)))
    return directory / MANIFEST


def difference(listed: Artifact, directory: Path) -> str:
    """Say how the file differs from what is listed: ``""`` when it does not."""
    path = directory / listed.path
    with atomic_files.explaining(f"cannot read {path}"):
        if not path.exists():
            return f"{listed.path} is gone"
        if path.is_symlink() or not path.is_file():
            return f"{listed.path} is no regular file any more"
        if not path.resolve().is_relative_to(directory.resolve()):
            return f"{listed.path} lies outside of {directory} now"
        if (size := path.stat().st_size) != listed.size:
            return f"{listed.path} has {size} bytes, not {listed.size}"
        if (sha256 := atomic_files.sha256(path)) != listed.sha256:
            return f"{listed.path} has sha256 {sha256[:_SHORT]}, not {listed.sha256[:_SHORT]}"
    return ""


def _artifacts(data: Any) -> tuple[Artifact, ...]:
    if not isinstance(data, dict) or data.get("schema") != _SCHEMA:
        raise ValueError(f"its schema is not {_SCHEMA}")
    listed = data.get("artifacts")
    if not isinstance(listed, list):
        raise ValueError("its artifacts are no list")  # noqa: TRY004 - the file's fault, not ours
    return tuple(_artifact(item, f"artifacts[{number}]") for number, item in enumerate(listed))


def _artifact(item: Any, place: str) -> Artifact:
    if not isinstance(item, dict):
        raise ValueError(f"{place} is no object")  # noqa: TRY004 - as above
    path, size, sha256 = item.get("path"), item.get("size"), item.get("sha256")
    if not isinstance(path, str) or not _inside(path):
        raise ValueError(f"{place}.path is no path inside of the directory")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"{place}.size is no number of bytes")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise ValueError(f"{place}.sha256 is no SHA-256")
    return Artifact(
        path=path, size=size, sha256=sha256, media_type=str(item.get("media_type") or _UNKNOWN_TYPE)
    )


def _inside(path: str) -> bool:
    parts = PurePosixPath(path)
    plain = parts.as_posix() == path and "\0" not in path
    return plain and not parts.is_absolute() and ".." not in parts.parts and path != "."


def _checksum_line(artifact: Artifact) -> bytes:
    """Spell one line of SHA256SUMS; coreutils mark a name with odd characters by a backslash."""
    escaped = artifact.path.replace("\\", r"\\").replace("\n", r"\n").replace("\r", r"\r")
    mark = "\\" if escaped != artifact.path else ""
    return os.fsencode(f"{mark}{artifact.sha256}  {escaped}\n")  # a name may be no UTF-8
