"""Notebooks at an address: downloaded before they run, uploaded after it.

``s3://bucket/a.ipynb`` is read and written, ``https://example.org/a.ipynb`` is read. A run works on
files; the executed notebook is written beside its log in a temporary directory, which stays.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, TypeVar, cast

from stepkit import redaction
from stepkit.artifacts.manifest import Artifact
from stepkit.artifacts.s3 import Bucket
from stepkit.artifacts.s3_access import SCHEME
from stepkit.artifacts.storage_options import AccessOptions, EndpointUrl, Region
from stepkit.errors import Cancelled, ConfigurationError, Reason, StepError, ToolError
from stepkit.formats import path_addresses
from stepkit.http import get as http_get
from stepkit.http import safe_urls
from stepkit.notebook import ipynb
from stepkit.options import DefaultFromEnv, FromEnv
from stepkit.system import atomic_files
from stepkit.system.retry import retrying

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

logger = logging.getLogger(__name__)

_LARGEST: Final = 2**30  # bytes of a notebook
_ATTEMPTS: Final = 5
_SECONDS: Final = 300.0  # for each attempt
_STALL_SECONDS: Final = 30.0
_SECONDS_WHEN_STOPPED: Final = 5.0  # a cancelled run has to end
_NOTEBOOK: Final = "application/x-ipynb+json"
_OK: Final = 200


@dataclass(frozen=True, kw_only=True)
class RemoteOptions(AccessOptions):
    """The server and the keys of notebooks in object storage; the keys stay with the notebook."""

    heading: ClassVar[str] = "notebooks at s3:// addresses"

    endpoint_url: EndpointUrl = None
    region: Region = "us-east-1"
    ca_file: Annotated[
        Path | None,
        "certificates (PEM) of the server's own authority; by default $AWS_CA_BUNDLE",
        DefaultFromEnv("AWS_CA_BUNDLE"),
    ] = None
    access_key_id: Annotated[
        str | None, "S3 key", FromEnv("AWS_ACCESS_KEY_ID", shared=True, left=True)
    ] = None
    secret_access_key: Annotated[
        str | None, "the key's secret", FromEnv("AWS_SECRET_ACCESS_KEY", shared=True, left=True)
    ] = None
    session_token: Annotated[
        str | None, "token of a temporary key", FromEnv("AWS_SESSION_TOKEN", shared=True, left=True)
    ] = None


def around(options: Any, run: Callable[[Any], T]) -> T:
    """Return what ``run`` returns for ``options``, with files for ``notebook`` and ``output``.

    ``options`` are :class:`RemoteOptions` that also have ``cwd``. The executed notebook,
    ``notebook`` of what ``run`` returns, is uploaded also when it failed.
    Raises :class:`~stepkit.errors.StepError`; the error of a failed run comes first.
    """
    source, target = map(path_addresses.address, (options.notebook, options.output))
    if not source and not target:
        return run(options)
    redaction.register(options.secret_access_key or "", options.session_token or "")
    for address, schemes in ((source, (SCHEME, "https://", "http://")), (target, (SCHEME,))):
        if address and not address.startswith(schemes):
            raise ConfigurationError(_other_way(address))
    if target:
        _object(target, options).check()
    directory = Path(tempfile.mkdtemp(prefix="stepkit-"))
    fetched = directory / "source"
    try:
        if source:
            fetched.mkdir()
            notebook = _download(source, options, fetched)
            options = replace(options, notebook=notebook, cwd=options.cwd or Path.cwd())
        if not target:
            return run(options)
        options = replace(options, output=directory / options.output.name)
        logger.info("the notebook is written to %s, and uploaded in the end", options.output)
        return _uploading(target, options, run)
    finally:
        shutil.rmtree(fetched, ignore_errors=True)
        if not any(directory.iterdir()):
            directory.rmdir()


def _other_way(address: str) -> str:
    """Return what is wrong with an address, and what works instead."""
    scheme = address.partition("://")[0]
    if scheme in {"http", "https"}:
        return f"cannot write to {safe_urls.masked(address)}: name a file, or {SCHEME}bucket/name"
    ways = {
        "gs": f"use {SCHEME}bucket/name with --endpoint-url https://storage.googleapis.com and an "
        "HMAC key, or `gcloud storage cp`",
        "github": "use git-clone, or https://raw.githubusercontent.com/OWNER/NAME/BRANCH/PATH",
    }
    return f"{scheme}:// is not supported: {ways.get(scheme, 'copy the file with its own tool')}"


@dataclass(frozen=True)
class _Object:
    """One object in a bucket."""

    bucket: Bucket
    key: str

    def check(self) -> None:
        """Ask for the object, so that a wrong server or key is known before the run."""
        retrying(_ATTEMPTS)(self.bucket.find, self.key)

    def read(self) -> bytes:
        """Return its content. Raises :class:`~stepkit.errors.StepError`."""
        found = self.bucket.find(self.key)
        if found and found.size > _LARGEST:
            raise ConfigurationError(_too_large(self.bucket.location(self.key)))
        ((_, content),) = self.bucket.contents([self.key])
        if isinstance(content, StepError):
            raise content
        return content

    def write(self, path: Path) -> None:
        """Upload ``path``. Raises :class:`~stepkit.errors.StepError`."""
        size = path.stat().st_size
        artifact = Artifact(
            path=self.key, size=size, sha256=atomic_files.sha256(path), media_type=_NOTEBOOK
        )
        self.bucket.send(path, self.key, artifact)
        stored = self.bucket.find(self.key)
        if stored is None or stored.size != size:
            state = f"has {stored.size} bytes" if stored else "is not there"
            raise ToolError(
                f"the object {state} after {size} bytes were sent", reason=Reason.CHECKSUM
            )


def _object(address: str, options: RemoteOptions, *, timeout: float = _SECONDS) -> _Object:
    bucket, _, key = address.removeprefix(SCHEME).partition("/")
    if not key:
        raise ConfigurationError(f"{address} names no notebook: write {SCHEME}bucket/name.ipynb")
    return _Object(Bucket(f"{SCHEME}{bucket}", options.access, timeout=timeout), key)


def _download(address: str, options: RemoteOptions, directory: Path) -> Path:
    """Return the notebook's copy in ``directory``. Raises :class:`~stepkit.errors.StepError`."""
    path = directory / address.rpartition("/")[2]
    if address.startswith(SCHEME):
        content = retrying(_ATTEMPTS)(_object(address, options).read)
    else:
        content = retrying(_ATTEMPTS)(_get, address)
    with atomic_files.explaining(f"cannot write {path}"):
        path.write_bytes(content)
    try:
        ipynb.check(path)
    except ConfigurationError as error:
        message = str(error).replace(str(path), safe_urls.masked(address))
        raise ConfigurationError(message, reason=error.reason) from error
    logger.info("downloaded %s: %d bytes", safe_urls.masked(address), len(content))
    return path


def _get(url: str) -> bytes:
    answer = http_get.get(
        http_get.Source(url), {}, stall=_STALL_SECONDS, until=time.monotonic() + _SECONDS
    )
    try:
        if answer.status != _OK:
            raise http_get.refusal(answer)
        content = bytearray()
        for chunk in answer.chunks():
            content += chunk
            if len(content) > _LARGEST:
                raise ConfigurationError(_too_large(safe_urls.masked(url)))
    finally:
        answer.close()
    return bytes(content)


def _too_large(where: str) -> str:
    return f"{where} is larger than {_LARGEST // 2**30} GiB: download it first, and name the file"


def _uploading(target: str, options: Any, run: Callable[[Any], T]) -> T:
    """Run, and upload what was executed: also after a failure, and quickly after a signal."""
    prefix = target.removesuffix(options.output.name)  # a variant names the file
    try:
        outputs: Any = run(options)
    except StepError as error:
        if left := _upload(_executed(error.outputs), prefix, options):
            raise error.leaving(error.outputs, suffix=f"; {left}") from error
        raise
    except Cancelled as stop:
        _upload(_executed(stop.outputs), prefix, options, attempts=1, timeout=_SECONDS_WHEN_STOPPED)
        raise
    if left := _upload(_executed(outputs), prefix, options):
        raise ToolError(f"{outputs.message}, but {left}", outputs=outputs)
    uploaded = f"{outputs.message}; uploaded to {prefix}{outputs.notebook.name}"
    return cast("T", replace(outputs, message=uploaded))


def _executed(outputs: Any) -> Path | None:
    """Return the executed notebook that a run left, if any."""
    path = getattr(outputs, "notebook", None)
    return path if isinstance(path, Path) and path.is_file() else None


def _upload(
    path: Path | None,
    prefix: str,
    options: RemoteOptions,
    *,
    attempts: int = _ATTEMPTS,
    timeout: float = _SECONDS,
) -> str:
    """Upload ``path`` to ``prefix``; return what is to be said if that is not possible."""
    if path is None:
        return ""
    where = f"{prefix}{path.name}"
    try:
        retrying(attempts)(_object(where, options, timeout=timeout).write, path)
    except StepError as error:
        left = f"the executed notebook is in {path}, not at {where}: {error}"
        logger.error("%s", left)  # noqa: TRY400 - it is the reader's business, not a bug
        return left
    logger.info("uploaded %s", where)
    return ""
