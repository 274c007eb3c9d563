r"""Copy the artifacts of a run to object storage or to another directory, and link to them.

The files that collect-artifacts listed in manifest.json are copied, then files that came later and
match --also, and the manifest last: where it is, all files are. A file that differs from the
manifest stops the step before anything is sent. --unlisted publishes a run that was stopped before
its manifest was written, as it is. A file that is there already is not sent again; another file
under the same name is replaced only with --overwrite. Every copy is read back and compared. Nothing
is ever deleted. With --index, a page of all runs is kept at the destination, beside them.

For example:

    stepkit publish-artifacts --artifacts out --destination s3://runs/notebooks --prefix run-7 \
        --endpoint-url https://minio.example.com --url-base https://pages.example.com
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from stepkit.artifacts import files_to_publish
from stepkit.artifacts import links as artifact_links
from stepkit.artifacts import manifest as artifact_manifest
from stepkit.artifacts.directory import Destination, Directory
from stepkit.artifacts.manifest import MANIFEST, Artifact
from stepkit.artifacts.publisher import Publisher
from stepkit.artifacts.s3 import Bucket
from stepkit.artifacts.s3_access import SCHEME
from stepkit.artifacts.storage_options import StorageOptions
from stepkit.errors import ConfigurationError, StepError
from stepkit.options import DETAIL, DURATION, Metavar
from stepkit.step import InReport
from stepkit.system.retry import retrying

logger = logging.getLogger(__name__)

INDEX: Final = "index.html"

_POINTERS: Final = {"latest", "latest-passed"}  # of the index


@dataclass(frozen=True, kw_only=True)
class Options(StorageOptions):
    """What to publish, where to, and with which credentials."""

    artifacts: Annotated[Path, "directory of the artifacts, with manifest.json in it"]
    destination: Annotated[str, "directory that is there, or s3://bucket/prefix"]
    volume: Annotated[Path | None, "volume that a destination directory is relative to"] = None
    prefix: Annotated[str, "directory below the destination, such as the name of the run"] = ""
    also: Annotated[
        tuple[str, ...],
        "files that came after the manifest, * and ? for anything",
        Metavar("PATTERN"),
    ] = (
        "report*.html",
        "STEP_SUMMARY*.md",
        "run*.json",
        "metadata*.json",
    )
    unlisted: Annotated[
        bool,
        "publish all that is there where collect-artifacts listed nothing, such as after a run "
        "that was stopped",
    ] = False
    wait_for: Annotated[
        tuple[Path, ...],
        "files that another task writes meanwhile, to wait for first",
        Metavar("FILE"),
    ] = ()
    wait_timeout: Annotated[float, "how long to wait for them", DURATION] = 300.0
    overwrite: Annotated[bool, "replace other files of the same name"] = False
    verify: Annotated[
        Literal["content", "size"], "what to compare of each copy, content by reading it back"
    ] = "content"
    pages: Annotated[
        Literal["open", "download"], "what a browser does with HTML from object storage"
    ] = "open"
    url_base: Annotated[str, "web address of the destination, to print links"] = ""
    page: Annotated[str, "artifact to link to; by default the summary, or a page"] = ""
    index: Annotated[
        bool, "also write an index of all runs beside them: index.html and runs.json"
    ] = False


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What is at the destination."""

    in_report: ClassVar[InReport] = InReport(section="published", ends_run=True)

    location: Annotated[str, "where the artifacts are: a directory or an s3:// URL"]
    url: Annotated[str, "link to the summary or page; empty without --url-base"] = ""
    count: Annotated[int, "number of files that are there"] = 0
    size: Annotated[int, "their size in bytes, together"] = 0
    sent: Annotated[int, "how many of them were sent"] = 0
    unchanged: Annotated[int, "how many were there already"] = 0
    index: Annotated[str, "path or web address of the index of all runs; empty without one"] = ""
    missing: Annotated[tuple[str, ...], "files that were waited for in vain, or the manifest"] = ()
    published: Annotated[tuple[str, ...], "each file, by path in the directory", DETAIL] = ()
    status: Annotated[str, "succeeded, or tolerated when a file is missing"] = "succeeded"
    message: Annotated[str, "what was published, in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Wait, check everything, then send the files that are not there yet."""
    directory = options.artifacts.absolute()
    prefix = options.prefix.strip("/")
    parts = prefix.split("/") if prefix else []
    if any(part in {"", ".", ".."} or not part.isprintable() for part in parts):
        raise ConfigurationError(f"--prefix {options.prefix!r} is not a path below the destination")
    if options.index and not prefix:
        raise ConfigurationError("--index needs --prefix: the index lies beside the runs")
    if options.index and parts[0] in _POINTERS:
        raise ConfigurationError(
            f"--prefix {prefix!r} is where the index has a page: choose another"
        )
    listed = _read_manifest(options, directory)
    publisher = Publisher(
        destination=_destination(options, directory, prefix),
        directory=Path(os.path.realpath(directory)),
        prefix=prefix,
        attempts=options.attempts,
        verify_content=options.verify == "content",
    )
    missing = files_to_publish.await_files(
        options.wait_for,
        newer_than=None if listed is None else directory / MANIFEST,
        timeout=options.wait_timeout,
    )
    listed = _read_manifest(options, directory)  # it may have been written anew meanwhile
    if listed is None:
        publisher.check_no_manifest()
        artifacts = files_to_publish.select_all(directory)
    else:
        artifacts = files_to_publish.select(
            directory, listed, also=options.also, waited=options.wait_for
        )
    outputs = Outputs(
        location=publisher.destination.location(prefix).rstrip("/"),
        missing=(*map(str, missing), *([MANIFEST] if listed is None else [])),
    )
    unsent = publisher.unsent(artifacts, overwrite=options.overwrite)
    try:
        for artifact in unsent:
            publisher.send(artifact)
            outputs = replace(outputs, sent=outputs.sent + 1)
    except StepError as error:
        done = f"{outputs.sent} of {len(unsent)} files sent, the manifest not: "
        raise error.leaving(outputs, prefix=done) from error
    if options.index:
        outputs = _with_index(options, outputs, publisher.destination)
    return _completed(options, outputs, prefix, artifacts)


def _read_manifest(options: Options, directory: Path) -> tuple[Artifact, ...] | None:
    """Return what the manifest lists; None where there is none and --unlisted allows that."""
    unlisted = options.unlisted and directory.is_dir() and not (directory / MANIFEST).exists()
    return None if unlisted else artifact_manifest.read(directory)


def _destination(options: Options, artifacts: Path, prefix: str) -> Destination:
    text = options.destination
    if text.startswith(SCHEME):
        pages = options.pages == "download"
        return Bucket(text, options.access, timeout=options.timeout, download_pages=pages)
    if "://" in text:
        scheme = text.partition("://")[0]
        raise ConfigurationError(f"cannot publish to {scheme}://: name a directory or {SCHEME}")
    root = _root(options)
    for path in (root, root / prefix):
        if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(artifacts)):
            raise ConfigurationError(f"{path} lies in the artifacts: publish to another directory")
    return Directory(root)


def _root(options: Options) -> Path:
    return (options.volume or Path()) / options.destination


def _with_index(options: Options, outputs: Outputs, destination: Destination) -> Outputs:
    """Write the index of all runs; what keeps it from being written does not lose this run."""
    from stepkit.report.index import keep_index
    from stepkit.report.index.directory_store import DirectoryStore

    try:
        store = destination if isinstance(destination, Bucket) else DirectoryStore(_root(options))
        kept = retrying(options.attempts)(keep_index.keep, store)
    except StepError as error:
        logger.warning("no index: %s; the next run, or `stepkit index`, makes it", error)
        return replace(outputs, missing=(*outputs.missing, INDEX))
    for row in kept.unreadable:
        logger.warning("%s: %s", destination.location(row["path"]), row["unreadable"])
    base = options.url_base
    where = artifact_links.address(base, "", INDEX) if base else destination.location(INDEX)
    logger.info("index of %d runs: %s", len(kept.runs["runs"]), where)
    return replace(outputs, index=where)


def _completed(
    options: Options, outputs: Outputs, prefix: str, artifacts: tuple[Artifact, ...]
) -> Outputs:
    """Return ``outputs`` with the link and the counts, and log the link of each artifact."""
    names = tuple(artifact.path for artifact in artifacts)
    page = options.page if options.page in names else ""
    if options.page and not page:
        logger.warning("--page %s is not among the artifacts", options.page)
    page = page or artifact_links.first_page(names, options.also)
    url = artifact_links.address(options.url_base, prefix, page) if options.url_base else ""
    for name in names if options.url_base else ():
        logger.info("%s", artifact_links.address(options.url_base, prefix, name))
    size, unchanged = sum(artifact.size for artifact in artifacts), len(names) - outputs.sent
    message = f"{len(names)} files, {size / 1e6:.1f} MB at {outputs.location}: "
    message += f"{outputs.sent} sent, {unchanged} unchanged"
    if outputs.missing:
        message += f"; missing: {artifact_manifest.enumerate_some(outputs.missing)}"
    return replace(
        outputs,
        url=url,
        count=len(names),
        size=size,
        unchanged=unchanged,
        published=names,
        status="tolerated" if outputs.missing else "succeeded",
        message=message,
    )
