"""The manifest of a run's artifacts: write it, read it, and compare it with the files."""

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
from stepkit.notebook import progress_json
from stepkit.system import atomic_files, removal, scratch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

logger = logging.getLogger(__name__)

MANIFEST: Final = "manifest.json"
CHECKSUMS: Final = "SHA256SUMS"

_SCHEMA: Final = "stepkit.manifest/1"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SHORT: Final = 12  # characters of a checksum in a message
_MOST_NAMES: Final = 10  # in a message
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
    """One file: ``path`` relative to the directory, with slashes; ``size`` in bytes."""

    path: str
    size: int
    sha256: str
    media_type: str


def read(directory: Path) -> tuple[Artifact, ...]:
    """Return what the manifest in ``directory`` lists.

    Raises :class:`ConfigurationError` when it is missing, or not one of collect-artifacts.
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
        return _parse(json.loads(atomic_files.read(path)))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} is not a manifest of collect-artifacts: {error}; run it again"
        ) from error


def describe(path: Path, directory: Path) -> Artifact:
    """Return the entry of a file below ``directory`` in the manifest, as the file is now.

    Raises :class:`~stepkit.errors.StepError` when it cannot be read, or is a link or a pipe.
    """
    with atomic_files.explaining(f"cannot read {path}"):
        if path.is_symlink() or not path.is_file():
            raise ConfigurationError(
                f"{path} is not a regular file: name a file, not a link or a pipe"
            )
        return Artifact(
            path=path.relative_to(directory).as_posix(),
            size=path.stat().st_size,
            sha256=atomic_files.sha256(path),
            media_type=_MEDIA_TYPES.get(path.suffix)
            or mimetypes.guess_type(path.name)[0]
            or _UNKNOWN_TYPE,
        )


def regular_files(directory: Path) -> Iterator[Path]:
    """Yield the files below ``directory`` that can be artifacts: not the manifest, links or pipes.

    A link could lead out of the directory, and a pipe would block its reader. Scratch is a file
    that another step is writing, or that a killed one left. How far a notebook was says nothing
    after its run.
    """
    for path in sorted(directory.rglob("*")):
        if path.parent == directory and path.name in {MANIFEST, CHECKSUMS}:
            continue
        if any(map(is_unfinished, path.relative_to(directory).parts)):
            continue
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            logger.warning("left out %s: it is not a regular file", path)
        elif path.is_file() and not progress_json.is_progress(path):
            yield path


def is_unfinished(name: str) -> bool:
    """Return whether a file or directory called ``name`` is on its way in or out of existence."""
    return scratch.is_scratch(name) or removal.is_trash(Path(name))


def write(directory: Path, found: tuple[Artifact, ...]) -> Path:
    """Write manifest.json, whose path is returned, and SHA256SUMS, which ``sha256sum`` reads."""
    manifest = {"schema": _SCHEMA, "artifacts": [vars(artifact) for artifact in found]}
    lines = []
    for artifact in found:
        # coreutils escape a name with these characters, and mark its line with a backslash.
        name = artifact.path.replace("\\", r"\\").replace("\n", r"\n").replace("\r", r"\r")
        prefix = "\\" if name != artifact.path else ""
        lines.append(os.fsencode(f"{prefix}{artifact.sha256}  {name}\n"))  # may not be UTF-8
    atomic_files.write_atomically(directory / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    atomic_files.write_atomically(directory / CHECKSUMS, b"".join(lines))
    return directory / MANIFEST


def difference(listed: Artifact, directory: Path) -> str:
    """Say how the file differs from its entry: ``""`` when it does not."""
    path = directory / listed.path
    with atomic_files.explaining(f"cannot read {path}"):
        if not path.exists():
            return f"{listed.path} is gone"
        if path.is_symlink() or not path.is_file():
            return f"{listed.path} is not a regular file any more"
        if not path.resolve().is_relative_to(directory.resolve()):
            return f"{listed.path} lies outside of {directory} now"
        if (size := path.stat().st_size) != listed.size:
            return f"{listed.path} has {size} bytes, not {listed.size}"
        if (sha256 := atomic_files.sha256(path)) != listed.sha256:
            return f"{listed.path} has sha256 {sha256[:_SHORT]}, not {listed.sha256[:_SHORT]}"
    return ""


def enumerate_some(names: Sequence[str]) -> str:
    """Return ``names`` as a message lists them: the first ten, and the number of the others."""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _parse(data: Any) -> tuple[Artifact, ...]:
    """Return the artifacts of a manifest. Raises :class:`ValueError` when it is malformed."""
    if not isinstance(data, dict) or data.get("schema") != _SCHEMA:
        raise ValueError(f"its schema is not {_SCHEMA}")
    if not isinstance(data.get("artifacts"), list):
        raise ValueError("its artifacts are not a list")  # noqa: TRY004 - the file is wrong, not a caller
    artifacts = []
    for number, item in enumerate(data["artifacts"]):
        where = f"artifacts[{number}]"
        if not isinstance(item, dict):
            raise ValueError(f"{where} is not an object")  # noqa: TRY004 - as above
        path, size, sha256 = item.get("path"), item.get("size"), item.get("sha256")
        if not isinstance(path, str) or not _is_inside(path):
            raise ValueError(f"{where}.path is not a path inside the directory")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ValueError(f"{where}.size is not a number of bytes")
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise ValueError(f"{where}.sha256 is not a SHA-256")
        kind = str(item.get("media_type") or _UNKNOWN_TYPE)
        artifacts.append(Artifact(path=path, size=size, sha256=sha256, media_type=kind))
    return tuple(artifacts)


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path)
    plain = parts.as_posix() == path and "\0" not in path
    return plain and not parts.is_absolute() and ".." not in parts.parts and path != "."
