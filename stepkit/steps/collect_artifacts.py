r"""Collect the artifacts of a run, and list them with sizes, media types and checksums.

Files named with --files are copied into the artifacts directory first; a file that is there already
is not replaced. With --beside they are patterns of files that a notebook wrote beside itself, which
go to files/. All files are then listed in manifest.json (path, size, sha256, media type) and in
SHA256SUMS, which `sha256sum --check` reads. An artifact named with --expect that is missing, empty
or not as its conditions say fails the step, after all others are listed. This step's own report is
not listed: it is not finished yet.

For example:

    stepkit collect-artifacts --artifacts out --files 'figures/*.png' --beside source/umap.ipynb \
        --expect output_analysis.ipynb 'output_analysis.html: size>=100KB, images>=3, tables>=1'
"""

from __future__ import annotations

import json
import logging
import os
import posixpath
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from stepkit import steps
from stepkit.artifacts import check_expectation, expectations, files_beside
from stepkit.artifacts import manifest as artifact_manifest
from stepkit.artifacts.manifest import Artifact
from stepkit.errors import ConfigurationError, Reason, UserCodeError
from stepkit.formats import sizes
from stepkit.formats.asked_for import find_not_asked_for
from stepkit.options import DETAIL, READS, Checkouts, InCheckout
from stepkit.report import read_step_reports
from stepkit.step import InReport
from stepkit.system import atomic_files, locks, named_checkouts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.artifacts.expectations import Expectation

logger = logging.getLogger(__name__)

_OWN_STEP: Final = "collect-artifacts"
_MAX_REPORT_BYTES: Final = 50 * 2**20  # a larger JSON file is not a report


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which directory to list, and which files it must have."""

    artifacts: Annotated[Path, "directory of the artifacts"]
    files: Annotated[
        tuple[Path, ...],
        "files to copy into it first; with --beside patterns, such as figures/*.png, * and ? for "
        "anything in a name, ** for any directories",
    ] = ()
    beside: Annotated[
        tuple[Path, ...], "notebooks in whose directories --files are looked for"
    ] = ()
    checkout: Annotated[Path | None, "directory that --beside is relative to"] = None
    reports: Annotated[
        Path | None,
        "directory with the reports of the steps before: of --files, datasets and what is as old "
        "as the checkout are left out",
    ] = None
    files_limit: Annotated[str, "how large --files may be together, with --beside"] = "1GiB"
    exclude: Annotated[tuple[str, ...], "names to leave out, * and ? for anything"] = ()
    expect: Annotated[
        tuple[str, ...],
        "artifacts that must be there, by path in it; perhaps with conditions, such as "
        "'PATH: size>=100KB, type=html, outputs>=9, images>=3, tables>=1'",
    ] = ()
    expect_file: Annotated[
        Path | None, "YAML file of further ones, each PATH: CONDITIONS", READS, InCheckout()
    ] = None
    checkouts: Checkouts = None
    suffix: Annotated[str, "what {suffix} in a path of them stands for"] = ""
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
    """Copy, list, then check that each expected artifact is there, and what it must be like."""
    directory = options.artifacts.absolute()
    not_asked_for = find_not_asked_for(options.asked_for)
    every = expectations.read(options.expect, options.expect_file, options.suffix)
    expected = [one for one in every if one.path not in not_asked_for]
    if not directory.is_dir():
        raise ConfigurationError(f"there is no directory of artifacts {directory}")
    with locks.locked_directory(directory):  # the last one of several lists the files of all
        not_copied: Sequence[str] = ()
        if options.beside and options.files:
            not_copied = _copy_beside(options, directory)
        else:
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
    _check(expected, directory, outputs, not_copied)
    if conditions := sum(one.conditions for one in expected):
        held = f"{conditions} condition{'s hold' if conditions > 1 else ' holds'}"
        outputs = replace(outputs, message=f"{outputs.message}; {held}")
    return outputs


def _check(
    expected: Sequence[Expectation], directory: Path, outputs: Outputs, not_copied: Sequence[str]
) -> None:
    """Raise a :class:`UserCodeError` for what is missing, or not as expected."""
    present = {artifact.path for artifact in outputs.found if artifact.size}
    missing, wrong = [], []
    for one in expected:
        path = _listed_path(one.path, directory)
        if path not in present:
            missing.append(one.path)
            continue
        with atomic_files.explaining(f"cannot read {directory / path}"):
            faults = list(check_expectation.faults(one, directory / path))
        if faults:
            wrong.append(f"{one.path} {' and '.join(faults)}")
    sentences = [*not_copied, *wrong]
    if missing:
        sentences.insert(
            0,
            f"{len(missing)} of {len(expected)} expected artifacts are missing or empty in "
            f"{directory}: {', '.join(missing)}",
        )
    if sentences:
        absent = missing or not_copied
        raise UserCodeError(
            "; ".join(sentences),
            reason=Reason.ARTIFACT_MISSING if absent else Reason.ARTIFACT_INVALID,
            outputs=outputs,
        )


def _copy_beside(options: Options, directory: Path) -> list[str]:
    """Copy the files that notebooks wrote beside themselves; return what could not be, and why."""
    most = sizes.parse(options.files_limit, name="--files-limit", least=1)
    notebooks = [(options.checkout or Path()) / notebook for notebook in options.beside]
    placed, since = _placed_before(options.reports, notebooks)
    reports = [options.reports] if options.reports else []
    found = files_beside.find(
        files_beside.Search(
            directories=[path.parent for path in notebooks if path.parent.is_dir()],
            patterns=[str(pattern) for pattern in options.files],
            left_out=[directory, *reports, *placed],
            since=since,
        )
    )
    if found.older:
        older = artifact_manifest.enumerate_some(found.older)
        logger.info("left out what the notebook did not change: %s", older)
    if not found.files:
        logger.warning("no file of the notebook matches %s", " ".join(map(str, options.files)))
    refused = files_beside.copy(found.files, directory, most)
    too_large = artifact_manifest.enumerate_some(refused)
    over = [f"--files-limit {options.files_limit} has no room for {too_large}"] if refused else []
    return [*found.unread, *over]


def _placed_before(reports: Path | None, notebooks: Sequence[Path]) -> tuple[list[Path], int]:
    """Return the datasets, and when the checkout and they were complete, from the reports.

    The time is that of the reports' files, in nanoseconds: the same clock as that of other files on
    that volume.
    """
    if reports is None:
        return [], 0
    found = read_step_reports.load(
        reports.absolute(), steps.in_report, expected=(), statuses={}, title=""
    )
    placed, times = [], [0]
    for entry in found.of_section("datasets"):
        root = Path(entry.output("directory") or "")
        placed += [
            root / one["path"]
            for one in entry.output("datasets") or ()
            if one.get("path") and not one.get("unpacked")  # a notebook may write there, too
        ]
        times.append(_written(reports, entry.name))
    for entry in found.of_section("checkout"):
        checkout = Path(entry.output("checkout") or "/dev/null")
        if any(named_checkouts.holds(checkout, path) for path in notebooks):
            times.append(_written(reports, entry.name))
    return placed, max(times)


def _written(reports: Path, name: str) -> int:
    path = reports / f"{name}.json"
    with atomic_files.explaining(f"cannot read {path}"):
        return path.stat().st_mtime_ns


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
