r"""Download datasets: resumed, verified, shared between runs, unpacked safely.

A manifest lists the files with their checksums. A file that is there already is kept, and one that
is in the cache is copied from there. Of all processes that want the same file, one downloads it. An
interrupted download continues where it stopped, also in the next run. Every file appears whole and
verified, or not at all.

For example:

    stepkit download-dataset --manifest datasets.yaml --directory work/h5 --cache /cache/datasets
    stepkit download-dataset --url https://example.org/census.h5ad --sha256 9f86d0818... \
        --path census.h5ad --directory work/h5
    stepkit download-dataset --url hf://datasets/OWNER/NAME/census.h5ad --directory work/h5
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from stepkit.artifacts.storage_options import ReadOptions
from stepkit.artifacts.stored_object import StoredObject
from stepkit.datasets import cache as dataset_cache
from stepkit.datasets import hub_files, shared_download, source_urls
from stepkit.datasets import manifest as dataset_manifest
from stepkit.datasets.partial_file import Pace, Request
from stepkit.datasets.target_path import Target
from stepkit.errors import ConfigurationError, StepError
from stepkit.http import bearer_tokens, safe_urls
from stepkit.options import (
    DETAIL,
    DURATION,
    READS,
    AtLeast,
    Checkouts,
    DefaultFromEnv,
    FromEnv,
    InCheckout,
)
from stepkit.step import InReport

if TYPE_CHECKING:
    from stepkit.datasets.link_or_copy import How
    from stepkit.datasets.manifest import Dataset
    from stepkit.http.get import FileSource

logger = logging.getLogger(__name__)

# In the directory: locks, and partial files where there is no cache.
WORK: Final = ".stepkit-datasets"


@dataclass(frozen=True, kw_only=True)
class Options(ReadOptions):
    """What to download, and where to."""

    manifest: Annotated[
        Path | None,
        "YAML or JSON file that lists the datasets",
        READS,
        InCheckout(notebooks_first=True),
    ] = None
    checkouts: Checkouts = None
    directory: Annotated[Path, "directory for the files"]
    cache: Annotated[
        tuple[Path, ...], "directory of files for later runs; of several, the last one counts"
    ] = ()
    url: Annotated[str, "one file to download, instead of a manifest; without credentials"] = ""
    sha256: Annotated[str, "its checksum"] = ""
    md5: Annotated[str, "its MD5, a weak checksum, where its SHA-256 is unknown"] = ""
    size: Annotated[str, "its size: bytes, or a rounded one such as 2048MB"] = ""
    path: Annotated[str, "where it goes in the directory; else its name in the URL"] = ""
    unpack: Annotated[
        Literal["auto", "true", "false", "tar", "zip"],
        "whether to unpack it; auto goes by the ending of its name",
    ] = "false"
    auth: Annotated[
        str,
        "name of the token that its server gets, such as DATASET_TOKEN; anonymous for a public "
        "bucket",
    ] = ""
    link_mode: Annotated[
        Literal["copy", "hardlink", "none"],
        "how files get from the cache to the directory; none fills the cache alone",
    ] = "copy"
    require_checksums: Annotated[bool, "fail where a sha256 is not given"] = False
    attempts: Annotated[int, "how many tries in a row may bring nothing", AtLeast(1)] = 5
    timeout: Annotated[float, "limit for each file, waiting included", DURATION, AtLeast(1)] = (
        3600.0
    )
    stall_timeout: Annotated[
        float, "how long a server may send nothing, or less than 1000 bytes/s", DURATION, AtLeast(1)
    ] = 30.0
    tokens: Annotated[Path | None, "directory with files of tokens, named as in auth"] = None
    token_origins: Annotated[
        tuple[str, ...], "where tokens may go, such as https://example.org; else where auth says"
    ] = ()
    token: Annotated[str | None, "token for auth: DATASET_TOKEN", FromEnv("DATASET_TOKEN")] = None
    hub_endpoint: Annotated[
        str, "server of hf:// addresses; by default $HF_ENDPOINT", DefaultFromEnv("HF_ENDPOINT")
    ] = hub_files.ENDPOINT


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """One dataset: its path, and where it came from: ``downloaded``, ``cache`` or ``kept``.

    ``size`` (in bytes) and ``sha256`` are those of the downloaded file, also of an archive.
    ``verified_by`` is the checksum of the manifest that the file has: ``sha256``, the weak ``md5``,
    or "" for none.
    """

    path: str
    url: str
    sha256: str
    size: int
    came: str
    verified: bool
    unpacked: bool
    verified_by: str = ""


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The datasets that are there, and how they got there."""

    in_report: ClassVar[InReport] = InReport(section="datasets")

    count: Annotated[int, "number of datasets that are there"]
    downloaded: Annotated[int, "bytes that were downloaded, also in vain"]
    from_cache: Annotated[int, "bytes of the files that the cache had"]
    unverified: Annotated[int, "number of datasets without a checksum in the manifest"]
    weak: Annotated[int, "number of datasets that were verified by MD5 alone"] = 0
    directory: Annotated[Path, "absolute path of the directory"]
    digest: Annotated[str, "SHA-256 over the paths and checksums of all datasets"]
    datasets: Annotated[tuple[Loaded, ...], "each dataset", DETAIL] = ()
    message: Annotated[str, "what was downloaded, in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Get each dataset in turn; those that are there stay when a later one fails."""
    datasets = _datasets(options)
    sources = {dataset: _sources(dataset, options) for dataset in datasets}
    directory = options.directory.absolute()
    cache = options.cache[-1].absolute() if options.cache else directory / WORK
    if options.link_mode != "none":
        if (directory / WORK).is_symlink():
            raise ConfigurationError(f"{directory / WORK} is a symbolic link: remove it")
        dataset_cache.prepare(directory / WORK)
    dataset_cache.prepare(cache)
    pace = Pace(stall=options.stall_timeout, until=0)
    loaded: list[Loaded] = []
    for dataset in datasets:
        pace.until = time.monotonic() + options.timeout
        request = Request(
            name=dataset.name,
            promised_by=dataset.promised_by,
            sha256=dataset.sha256,
            md5=dataset.md5,
            size=dataset.size,
            sources=sources[dataset],
            pace=pace,
            attempts=options.attempts,
        )
        try:
            loaded.append(_load(dataset, request, options, cache))
        except StepError as error:
            for line in error.evidence.output if error.evidence else ():
                logger.info("server: %s", line)
            outputs = _outputs(directory, loaded, pace.received)
            raise error.leaving(outputs, prefix=f"{dataset.path}: ") from error
    return _outputs(directory, loaded, pace.received)


def _datasets(options: Options) -> list[Dataset]:
    """Return what to download, and refuse options that do not fit together."""
    if bool(options.manifest) == bool(options.url):
        raise ConfigurationError("name either a --manifest or a --url")
    names = ("sha256", "md5", "size", "path", "auth")
    given = {name: getattr(options, name) for name in names if getattr(options, name)}
    if not options.manifest:
        entry = {"url": options.url, "unpack": options.unpack, **given}
        datasets = [dataset_manifest.from_flags(entry)]
    elif given or options.unpack != "false":
        wrong = next(iter(given), "unpack")
        raise ConfigurationError(f"--{wrong} goes with --url: the manifest has its own {wrong}")
    else:
        datasets = dataset_manifest.read(options.manifest)
    if options.link_mode == "none" and not options.cache:
        raise ConfigurationError("--link-mode none fills the cache: name a --cache")
    if inner := next((dataset for dataset in datasets if dataset.path.parts[0] == WORK), None):
        raise ConfigurationError(
            f"{inner.where}: {WORK} is for locks and partial files: give another path"
        )
    unverified = [dataset for dataset in datasets if not dataset.sha256]
    if unverified and options.require_checksums:
        raise ConfigurationError(
            f"{len(unverified)} of {len(datasets)} datasets have no sha256, the first at "
            f"{unverified[0].where}"
        )
    for dataset in unverified:
        risk = (
            "an md5 finds damage, but another file can be made to have the same: give a sha256"
            if dataset.md5
            else "without a sha256 a wrong file is not noticed"
        )
        logger.warning("%s: %s", dataset.where, risk)
    return datasets


def _sources(dataset: Dataset, options: Options) -> tuple[FileSource, ...]:
    """Return where a dataset is; its token is for those that share the origin of the first."""
    address, token = hub_files.address(dataset.url, options.hub_endpoint), None
    if dataset.auth and dataset.auth != source_urls.ANONYMOUS:
        token = bearer_tokens.find(dataset.auth, options.tokens, {"DATASET_TOKEN": options.token})
        bearer_tokens.check_origin(address, options.token_origins)
    origin = safe_urls.origin(address)
    access = replace(options.access, anonymous=dataset.auth == source_urls.ANONYMOUS)

    def token_of(url: str) -> str | None:
        same = safe_urls.origin(hub_files.address(url, options.hub_endpoint)) == origin
        return token if same else None

    return tuple(
        StoredObject(url, *source_urls.bucket_and_key(url), access=access, timeout=options.timeout)
        if url.startswith(source_urls.STORAGE)
        else hub_files.source(url, options.hub_endpoint, token_of(url))
        for url in (dataset.url, *dataset.mirrors)
    )


def _load(dataset: Dataset, request: Request, options: Options, cache: Path) -> Loaded:
    """Bring one dataset to its target, or into the cache alone."""
    directory = options.directory.absolute()
    if options.link_mode == "none":
        with shared_download.cached(cache, request) as cached:
            came = "cache" if cached.hit else "downloaded"
            return _loaded(dataset, cached.sidecar.sha256, cached.sidecar.size, came)
    target = Target.of(dataset, directory)
    lock = hashlib.sha256(os.fsencode(f"to {target.path}")).hexdigest()
    with dataset_cache.locked(directory / WORK, lock, until=request.pace.until):
        target.remove_scratch()
        if request.content_is_known and (here := target.installed(dataset.sha256)):
            logger.info("%s: it is there already", dataset.path)
            return _loaded(dataset, *here, "kept")
        with shared_download.cached(cache, request) as cached:
            sidecar = cached.sidecar
            if target.installed(sidecar.sha256):
                return _loaded(dataset, sidecar.sha256, sidecar.size, "kept")
            how: How = "link" if options.link_mode == "hardlink" else "copy"
            target.install(cached, how if options.cache else "move")
    return _loaded(dataset, sidecar.sha256, sidecar.size, "cache" if cached.hit else "downloaded")


def _loaded(dataset: Dataset, sha256: str, size: int, came: str) -> Loaded:
    if not dataset.sha256:
        by_flag = dataset.promised_by != "the manifest"
        param = "give it as --sha256 (param dataset-sha256 of a Pipeline)"
        to_do = param if by_flag else "write that into the manifest"
        logger.warning("%s: its sha256 is %s now: %s", dataset.path, sha256, to_do)
    verified_by = "sha256" if dataset.sha256 else "md5" if dataset.md5 else ""
    return Loaded(
        path=str(dataset.path),
        url=safe_urls.masked(dataset.url),
        sha256=sha256,
        size=size,
        came=came,
        verified=bool(verified_by),
        unpacked=dataset.unpacked,
        verified_by=verified_by,
    )


def _outputs(directory: Path, loaded: list[Loaded], received: int) -> Outputs:
    lines = sorted(f"{dataset.sha256}  {dataset.path}\n" for dataset in loaded)
    from_cache = sum(dataset.size for dataset in loaded if dataset.came == "cache")
    unverified = sum(not dataset.verified for dataset in loaded)
    weak = sum(dataset.verified_by == "md5" for dataset in loaded)
    count = f"{len(loaded)} dataset{'s' * (len(loaded) != 1)}"
    notes = f"; {unverified} could not be verified" if unverified else ""
    notes += f"; {weak} verified by MD5 alone, which is weak" if weak else ""
    return Outputs(
        count=len(loaded),
        downloaded=received,
        from_cache=from_cache,
        unverified=unverified,
        weak=weak,
        directory=directory,
        digest=hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest(),
        datasets=tuple(loaded),
        message=(
            f"{count}: {received / 1e6:.1f} MB downloaded, "
            f"{from_cache / 1e6:.1f} MB from the cache{notes}"
        ),
    )
