r"""Collect the artifacts of a run, and list them with sizes, media types and checksums.

Files named with --files are copied into the artifacts directory first; a file that is there already
is not replaced. All files in it are then listed in manifest.json (path, size, sha256, media type)
and in SHA256SUMS, which `sha256sum --check` reads. An artifact named with --expect that is missing
or empty fails the step, after all others are listed. This step's own report is not listed: it is
not finished yet.

For example:

    stepkit collect-artifacts --artifacts out --files source/figures/umap.png \
        --expect output_analysis.ipynb output_analysis.html
"""

from __future__ import annotations

import json
import logging
import os
import posixpath
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, ClassVar, Final

from stepkit.artifacts import manifest as artifact_manifest
from stepkit.artifacts.manifest import Artifact
from stepkit.errors import ConfigurationError, Reason, UserCodeError
from stepkit.formats.asked_for import find_not_asked_for
from stepkit.options import DETAIL
from stepkit.step import InReport
from stepkit.system import atomic_files, locks

logger = logging.getLogger(__name__)

_OWN_STEP: Final = "collect-artifacts"
_MAX_REPORT_BYTES: Final = 50 * 2**20  # a larger JSON file is not a report


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which directory to list, and which files it must have."""

    artifacts: Annotated[Path, "directory of the artifacts"]
    files: Annotated[tuple[Path, ...], "files to copy into it first"] = ()
    exclude: Annotated[tuple[str, ...], "names to leave out, * and ? for anything"] = ()
    expect: Annotated[tuple[str, ...], "artifacts that must be there, by path in it"] = ()
    asked_for: Annotated[
        tuple[str, ...],
        "PATH=VALUE; an artifact of --expect that may be missing if VALUE is empty or false",
    ] = ()


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The artifacts that were listed."""

    in_report: ClassVar[InReport] = InReport(section="artifacts", headline=True)

    manifest: Annotated[Path, "absolute path of manifest.json"]
    count: Annotated[int, "number of artifacts"]
    size: Annotated[int, "their size in bytes, together"]
    found: Annotated[tuple[Artifact, ...], "each artifact", DETAIL] = ()
    message: Annotated[str, "what was collected, in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Copy, list, then check that no expected artifact is missing."""
    directory = options.artifacts.absolute()
    not_asked_for = find_not_asked_for(options.asked_for)
    expected = [name for name in options.expect if name not in not_asked_for]
    if not directory.is_dir():
        raise ConfigurationError(f"there is no directory of artifacts {directory}")
    with locks.locked_directory(directory):  # the last one of several lists the files of all
        _copy(options.files, directory)
        found = tuple(
            artifact_manifest.describe(path, directory)
            for path in artifact_manifest.regular_files(directory)
            if not any(fnmatchcase(path.name, pattern) for pattern in options.exclude)
            and not _is_own_report(path)
        )
        listed = artifact_manifest.write(directory, found)
    outputs = Outputs(
        manifest=listed,
        count=len(found),
        size=sum(artifact.size for artifact in found),
        found=found,
        message=f"{len(found)} artifacts, {sum(a.size for a in found) / 1e6:.1f} MB",
    )
    present = {artifact.path for artifact in found if artifact.size}
    if missing := [name for name in expected if _listed_path(name, directory) not in present]:
        raise UserCodeError(
            f"{len(missing)} of {len(expected)} expected artifacts are missing or empty in "
            f"{directory}: {', '.join(missing)}",
            reason=Reason.ARTIFACT_MISSING,
            outputs=outputs,
        )
    return outputs


def _listed_path(name: str, directory: Path) -> str:
    """Return an expected path as the manifest lists it: ``./a`` and the absolute path are ``a``."""
    path = posixpath.normpath(name)
    return posixpath.relpath(path, directory) if posixpath.isabs(path) else path


def _copy(sources: tuple[Path, ...], directory: Path) -> None:
    """Copy ``sources`` into ``directory``, unless one of them would replace another file."""
    targets: dict[str, Path] = {}
    for source in sources:
        if not source.is_file():
            raise ConfigurationError(
                f"there is no file {source} to collect{atomic_files.near_names(source)}",
                reason=Reason.ARTIFACT_MISSING,
            )
        if other := targets.get(source.name):
            raise ConfigurationError(f"{other} and {source} have the same name: rename one")
        if source.name in {artifact_manifest.MANIFEST, artifact_manifest.CHECKSUMS}:
            raise ConfigurationError(
                f"{source} cannot be collected: this step writes its own {source.name}; rename it"
            )
        targets[source.name] = source
        target = directory / source.name
        if not os.path.lexists(target):
            continue
        with atomic_files.explaining(f"cannot compare {source} with {target}"):
            same = target.is_file() and atomic_files.sha256(target) == atomic_files.sha256(source)
        if not same or (target.is_symlink() and source.absolute() != target):
            raise ConfigurationError(
                f"{target} is there already and differs from {source}: rename one, or remove it "
                "first"
            )
    for name, source in targets.items():
        if not os.path.lexists(directory / name):
            atomic_files.copy_atomically(source, directory / name)


def _is_own_report(path: Path) -> bool:
    """Whether ``path`` is a report of this step, which changes after it would be listed."""
    if path.suffix != ".json":
        return False
    try:
        if path.stat().st_size > _MAX_REPORT_BYTES:
            return False
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    own = isinstance(data, dict) and data.get("step") == _OWN_STEP
    own = own and str(data.get("schema")).startswith("stepkit.report/")
    if own:
        logger.info("left out %s: the report of this step", path)
    return own
