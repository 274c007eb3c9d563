"""What collect-artifacts listed: read again, and held against the files."""

from __future__ import annotations

import json
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from stepkit.errors import ConfigurationError, Reason
from stepkit.tools import files

MANIFEST: Final = "manifest.json"
CHECKSUMS: Final = "SHA256SUMS"

_SCHEMA: Final = "stepkit.manifest/1"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SHORT: Final = 12  # characters of a sha256 that people compare
_MEDIA_TYPES: Final = {".md": "text/markdown", ".log": "text/plain", ".xml": "application/xml"}
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
        return _artifacts(json.loads(files.read(path)))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} is no manifest of collect-artifacts: {error}; run it again"
        ) from error


def describe(path: Path, directory: Path) -> Artifact:
    """Return a file below ``directory`` as the manifest would list it now.

    Raises :class:`~stepkit.errors.StepError` when it cannot be read, or is a link or a pipe.
    """
    with files.explaining(f"cannot read {path}"):
        if path.is_symlink() or not path.is_file():
            raise ConfigurationError(f"{path} is no regular file: not publishing it")
        return Artifact(
            path=path.relative_to(directory).as_posix(),
            size=path.stat().st_size,
            sha256=files.sha256(path),
            media_type=_MEDIA_TYPES.get(path.suffix)
            or mimetypes.guess_type(path.name)[0]
            or _UNKNOWN_TYPE,
        )


def difference(listed: Artifact, directory: Path) -> str:
    """Say how the file differs from what is listed: ``""`` when it does not."""
    path = directory / listed.path
    with files.explaining(f"cannot read {path}"):
        if not path.exists():
            return f"{listed.path} is gone"
        if path.is_symlink() or not path.is_file():
            return f"{listed.path} is no regular file any more"
        if not path.resolve().is_relative_to(directory.resolve()):
            return f"{listed.path} lies outside of {directory} now"
        if (size := path.stat().st_size) != listed.size:
            return f"{listed.path} has {size} bytes, not {listed.size}"
        if (sha256 := files.sha256(path)) != listed.sha256:
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
