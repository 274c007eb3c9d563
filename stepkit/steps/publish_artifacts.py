r"""Copy the artifacts of a run to object storage or to another directory, and link to them.

What goes is what collect-artifacts listed in manifest.json, what came after it by the names of
--also, and last the manifest itself: where it is, all is. A file that differs from the manifest
stops the step before anything is sent. With --unlisted, a run that was stopped before that list
was made is published as it is, without a manifest. What is there already is not sent again;
another file under the same name is not replaced, unless --overwrite says so. Every copy is read
back and compared. Nothing is ever deleted.

For example:

    stepkit publish-artifacts --artifacts out --destination s3://runs/notebooks --prefix run-7 \
        --endpoint-url https://minio.example.com --url-base https://pages.example.com
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Annotated, ClassVar, Literal

from stepkit.artifacts import links as artifact_links
from stepkit.artifacts import manifest as artifact_manifest
from stepkit.artifacts import wait_for_files
from stepkit.artifacts.directory import Destination, Directory
from stepkit.artifacts.manifest import CHECKSUMS, MANIFEST, Artifact
from stepkit.artifacts.s3 import SCHEME, Access, Bucket
from stepkit.errors import ConfigurationError, Reason, StepError, ToolError, UserCodeError
from stepkit.options import DETAIL, DURATION, AtLeast, DefaultFromEnv, FromEnv
from stepkit.step import InReport
from stepkit.system.retry import retrying

logger = logging.getLogger(__name__)

_SHOWN = 10  # names in one message


@dataclass(frozen=True, kw_only=True)
class Options:
    """What goes where, and who asks."""

    artifacts: Annotated[Path, "directory of the artifacts, with manifest.json in it"]
    destination: Annotated[str, "directory that is there, or s3://bucket/prefix"]
    volume: Annotated[Path | None, "volume that a destination directory is relative to"] = None
    prefix: Annotated[str, "directory below the destination, such as the name of the run"] = ""
    also: Annotated[tuple[str, ...], "files that came after the manifest, * and ? for anything"] = (
        "STEP_SUMMARY*.md",
    )
    unlisted: Annotated[
        bool,
        "publish all that is there where collect-artifacts listed nothing, such as after a run "
        "that was stopped",
    ] = False
    wait_for: Annotated[
        tuple[Path, ...], "files that another task writes meanwhile, to wait for first"
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
    endpoint_url: Annotated[
        str | None,
        "S3-compatible server, such as MinIO; by default $AWS_ENDPOINT_URL, else AWS",
        DefaultFromEnv("AWS_ENDPOINT_URL"),
    ] = None
    region: Annotated[str, "region; by default $AWS_REGION", DefaultFromEnv("AWS_REGION")] = (
        "us-east-1"
    )
    ca_file: Annotated[Path | None, "certificates (PEM) of the server's own authority"] = None
    attempts: Annotated[
        int, "how often to try each file when the server or network fails", AtLeast(1)
    ] = 5
    timeout: Annotated[float, "limit for each try of a file", DURATION, AtLeast(1)] = 300.0
    access_key_id: Annotated[str | None, "S3 key", FromEnv("AWS_ACCESS_KEY_ID", shared=True)] = None
    secret_access_key: Annotated[
        str | None, "the key's secret", FromEnv("AWS_SECRET_ACCESS_KEY", shared=True)
    ] = None
    session_token: Annotated[
        str | None, "token of a temporary key", FromEnv("AWS_SESSION_TOKEN", shared=True)
    ] = None


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What is there now."""

    in_report: ClassVar[InReport] = InReport(ends_run=True)

    location: Annotated[str, "where the artifacts are: a directory or an s3:// URL"]
    url: Annotated[str, "link to the summary or page; empty without --url-base"] = ""
    count: Annotated[int, "number of files that are there"] = 0
    size: Annotated[int, "their size in bytes, together"] = 0
    sent: Annotated[int, "how many of them were sent"] = 0
    unchanged: Annotated[int, "how many were there already"] = 0
    missing: Annotated[tuple[str, ...], "files that were waited for in vain, or the manifest"] = ()
    published: Annotated[tuple[str, ...], "each file, by path in the directory", DETAIL] = ()
    status: Annotated[str, "succeeded, or tolerated when a file is missing"] = "succeeded"
    message: Annotated[str, "what was published, in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Wait, check everything, then send what is not there yet."""
    directory = options.artifacts.absolute()
    prefix = _prefix(options.prefix)
    listed = _listed(options, directory)
    there = _destination(options, directory, prefix)
    missing = wait_for_files.await_files(
        options.wait_for,
        newer_than=None if listed is None else directory / MANIFEST,
        timeout=options.wait_timeout,
    )
    listed = _listed(options, directory)  # it may have been written anew meanwhile
    if listed is None:
        wanted = _unlisted(options, there, directory, prefix)
    else:
        wanted = _wanted(options, directory, listed)
    outputs = Outputs(
        location=there.location(prefix).rstrip("/"),
        missing=(*map(str, missing), *([MANIFEST] if listed is None else [])),
    )
    waiting = _not_there(options, there, prefix, wanted)
    try:
        for artifact in waiting:
            _send(options, there, directory, prefix, artifact)
            outputs = replace(outputs, sent=outputs.sent + 1)
    except StepError as error:
        done = f"{outputs.sent} of {len(waiting)} files sent, the manifest not: "
        raise error.leaving(outputs, prefix=done) from error
    return _told(options, outputs, prefix, wanted)


def _listed(options: Options, directory: Path) -> tuple[Artifact, ...] | None:
    """Return what the manifest lists; None where there is none and --unlisted allows that."""
    unlisted = options.unlisted and directory.is_dir() and not (directory / MANIFEST).exists()
    return None if unlisted else artifact_manifest.read(directory)


def _prefix(text: str) -> str:
    parts = text.strip("/").split("/") if text.strip("/") else []
    if any(part in {"", ".", ".."} or not part.isprintable() for part in parts):
        raise ConfigurationError(f"--prefix {text!r} is no path below the destination")
    return "/".join(parts)


def _destination(options: Options, artifacts: Path, prefix: str) -> Destination:
    text = options.destination
    if text.startswith(SCHEME):
        access = Access(
            endpoint=options.endpoint_url,
            region=options.region,
            key_id=options.access_key_id,
            secret_key=options.secret_access_key,
            session_token=options.session_token,
            ca_file=options.ca_file,
        )
        pages = options.pages == "download"
        return Bucket(text, access, timeout=options.timeout, download_pages=pages)
    if "://" in text:
        scheme = text.partition("://")[0]
        raise ConfigurationError(f"cannot publish to {scheme}://: name a directory or {SCHEME}")
    root = (options.volume or Path()) / text
    for path in (root, root / prefix):
        if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(artifacts)):
            raise ConfigurationError(f"{path} lies in the artifacts: publish to another directory")
    return Directory(root)


def _unlisted(
    options: Options, there: Destination, directory: Path, prefix: str
) -> tuple[Artifact, ...]:
    """Return all files; raises :class:`ConfigurationError` where a list says otherwise already."""
    key = str(PurePosixPath(prefix, MANIFEST))
    if retrying(options.attempts)(there.look, key):
        raise ConfigurationError(
            f"{there.location(key)} lists what was published there before, and there is no "
            f"{MANIFEST} to replace it: nothing was sent: choose another --prefix"
        )
    logger.warning("there is no %s: all that is in %s is published", MANIFEST, directory)
    return tuple(
        artifact_manifest.describe(path, directory)
        for path in artifact_manifest.regular_files(directory)
    )


def _wanted(
    options: Options, directory: Path, listed: tuple[Artifact, ...]
) -> tuple[Artifact, ...]:
    """Return all that goes, the manifest last; raises :class:`UserCodeError` for what changed."""
    found = wait_for_files.came_later(
        directory, options.also, options.wait_for, newer_than=directory / MANIFEST
    )
    ours = {directory / MANIFEST, directory / CHECKSUMS}  # they go last
    later = [path for path in found if path not in ours]
    names = {path.relative_to(directory).as_posix() for path in (*later, *ours)}
    kept = [artifact for artifact in listed if artifact.path not in names]
    if changed := [text for a in kept if (text := artifact_manifest.difference(a, directory))]:
        raise UserCodeError(
            f"{len(changed)} of {len(listed)} artifacts changed since collect-artifacts listed "
            f"them: {_some(changed)}; nothing was sent",
            reason=Reason.CHECKSUM,
        )
    lists = [directory / CHECKSUMS] if (directory / CHECKSUMS).exists() else []
    described = [
        artifact_manifest.describe(p, directory) for p in (*later, *lists, directory / MANIFEST)
    ]
    return (*kept, *described)


def _not_there(
    options: Options, there: Destination, prefix: str, wanted: tuple[Artifact, ...]
) -> list[Artifact]:
    """Return what has to be sent; raises :class:`ConfigurationError` rather than replace a file."""
    absent, other = [], []
    for artifact in wanted:
        key = _key(prefix, artifact)
        found = retrying(options.attempts)(there.look, key)
        if found is None:
            absent.append(artifact)
            continue
        alike = found.size == artifact.size
        if alike:
            stored = found.sha256 or retrying(options.attempts)(there.sha256, key)
            alike = stored == artifact.sha256
        if not alike:
            other.append(artifact)
    if other and not options.overwrite:
        raise ConfigurationError(
            f"{len(other)} of {len(wanted)} files are in {there.location(prefix)} already, with "
            f"other content: {_some([a.path for a in other])}; nothing was sent: "
            "choose another --prefix, or replace them with --overwrite true"
        )
    waiting = {*absent, *other}
    return [artifact for artifact in wanted if artifact in waiting]


def _send(
    options: Options, there: Destination, directory: Path, prefix: str, artifact: Artifact
) -> None:
    key = _key(prefix, artifact)

    def once() -> None:
        there.send(directory / artifact.path, key, artifact)
        found = there.look(key)
        if found is None or found.size != artifact.size:
            state = f"has {found.size} bytes" if found else "is not there"
            raise ToolError(
                f"{there.location(key)} {state} after {artifact.size} bytes were sent",
                reason=Reason.CHECKSUM,
            )
        if options.verify == "content" and there.sha256(key) != artifact.sha256:
            raise ToolError(
                f"{there.location(key)} reads back with another sha256 than {artifact.path}",
                reason=Reason.CHECKSUM,
            )

    retrying(options.attempts)(once)
    logger.info("sent %s (%d bytes)", there.location(key), artifact.size)


def _told(options: Options, outputs: Outputs, prefix: str, wanted: tuple[Artifact, ...]) -> Outputs:
    size = sum(artifact.size for artifact in wanted)
    count, page = len(wanted), _page(options, wanted)
    url = artifact_links.address(options.url_base, prefix, page) if options.url_base else ""
    for artifact in wanted if options.url_base else ():
        logger.info("%s", artifact_links.address(options.url_base, prefix, artifact.path))
    unchanged = count - outputs.sent
    message = f"{count} files, {size / 1e6:.1f} MB at {outputs.location}: "
    message += f"{outputs.sent} sent, {unchanged} unchanged"
    if outputs.missing:
        message += f"; missing: {_some(outputs.missing)}"
    return replace(
        outputs,
        url=url,
        count=count,
        size=size,
        unchanged=unchanged,
        published=tuple(artifact.path for artifact in wanted),
        status="tolerated" if outputs.missing else "succeeded",
        message=message,
    )


def _page(options: Options, wanted: tuple[Artifact, ...]) -> str:
    names = [artifact.path for artifact in wanted]
    if options.page in names:
        return options.page
    if options.page:
        logger.warning("--page %s is not among the artifacts", options.page)
    return artifact_links.first_page(names, options.also)


def _key(prefix: str, artifact: Artifact) -> str:
    return str(PurePosixPath(prefix, artifact.path))


def _some(names: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
