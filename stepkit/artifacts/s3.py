"""Object storage that speaks S3's protocol (AWS, MinIO, Ceph), through obstore.

obstore is a single package without an AWS SDK, whose pins could conflict with those of notebooks.
Its asynchronous calls are used because only they can be interrupted by a signal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from stepkit.artifacts.directory import Stored
from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.http import status_codes
from stepkit.system import atomic_files, os_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from obstore.store import ClientConfig, S3Config, S3Store

    from stepkit.artifacts.manifest import Artifact

T = TypeVar("T")

SCHEME: Final = "s3://"

_DIGEST: Final = "sha256"  # our metadata of an object: x-amz-meta-sha256
_CONNECT_SECONDS: Final = 15.0
_CAN_RUN_SCRIPTS: Final = frozenset({"text/html", "application/xhtml+xml", "image/svg+xml"})

_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>([^<]{1,80})</Code>")
_MESSAGE: Final = re.compile(r"<Message>([^<]{1,300})</Message>")
# S3 API reference, "Error responses": those that may pass, and those about the credentials.
_TEMPORARY: Final = {"RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable"}
_CREDENTIALS: Final = {
    "ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"
}  # fmt: skip
# obstore distinguishes these errors by their text alone.
_CERTIFICATE: Final = "InvalidCertificate"
_PERMANENT: Final = re.compile(rf"{_CERTIFICATE}|builder error|Received redirect")
_METADATA_SERVICE: Final = re.compile(r"/latest/(api/token|meta-data)")


@dataclass(frozen=True, kw_only=True)
class Access:
    """The server and the credentials; without a key, the role of the pod or machine is used."""

    endpoint: str | None = None
    region: str = "us-east-1"
    key_id: str | None = None
    secret_key: str | None = None
    session_token: str | None = None
    ca_file: Path | None = None


class Bucket:
    """A prefix of a bucket, ``s3://bucket/prefix``, as a destination.

    ``timeout`` is in seconds for each file. With ``download_pages`` browsers save the pages that
    could run scripts instead of showing them.
    """

    def __init__(
        self, url: str, access: Access, *, timeout: float, download_pages: bool = False
    ) -> None:
        if "@" in url or "?" in url or "#" in url:  # it may hold a password: not shown
            raise ConfigurationError(
                "an s3:// destination is s3://bucket/prefix, without credentials, ? and #"
            )
        self._bucket, _, prefix = url.removeprefix(SCHEME).partition("/")
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", self._bucket):
            raise ConfigurationError(f"{url!r} names no bucket: write s3://bucket/prefix")
        self._prefix = prefix.strip("/")
        self._timeout = timeout
        self._download_pages = download_pages
        self._anonymous = access.key_id is None
        self._store = _open_store(self._bucket, access, timeout)

    def location(self, key: str) -> str:
        """Return the object's ``s3://`` URL."""
        return f"{SCHEME}{self._bucket}/{self._key(key)}"

    def find(self, key: str) -> Stored | None:
        """Return the object's size, and the checksum that was stored with it."""
        import obstore

        async def head() -> Stored | None:
            try:
                found = await obstore.get_async(self._store, self._key(key), options={"head": True})
            except FileNotFoundError:
                return None
            return Stored(size=found.meta["size"], sha256=found.attributes.get(_DIGEST))

        return self._run("look up", key, head)

    def sha256(self, key: str) -> str:
        """Read the object and return its checksum."""
        import hashlib

        import obstore

        async def read() -> str:
            digest = hashlib.sha256()
            found = await obstore.get_async(self._store, self._key(key))
            async for chunk in found.stream():
                digest.update(chunk)
            return digest.hexdigest()

        return self._run("read", key, read)

    def send(self, source: Path, key: str, artifact: Artifact) -> None:
        """Upload the file in one request, or in parts of 5 MiB that appear together."""
        import obstore

        kind = artifact.media_type
        if kind.startswith("text/") and "charset" not in kind:
            kind += "; charset=utf-8"  # a browser that has to guess shows wrong characters
        attributes = {"Content-Type": kind, _DIGEST: artifact.sha256}
        if self._download_pages and artifact.media_type in _CAN_RUN_SCRIPTS:
            attributes["Content-Disposition"] = "attachment"

        async def put() -> None:
            await obstore.put_async(self._store, self._key(key), source, attributes=attributes)

        self._run("write", key, put)

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    def _run(self, what: str, key: str, act: Callable[[], Coroutine[Any, Any, T]]) -> T:
        import asyncio

        from obstore.exceptions import BaseError

        async def limited() -> T:
            async with asyncio.timeout(self._timeout):
                return await act()

        doing = f"cannot {what} {self.location(key)}"
        try:
            return asyncio.run(limited())
        except TimeoutError as error:
            message = f"{doing}: no answer within {self._timeout:g} s"
            raise ToolError(message, reason=Reason.NETWORK) from error
        except BaseError as error:
            raise self._error(doing, str(error)) from error
        except OSError as error:
            if _status(str(error)):  # obstore raises FileNotFoundError for HTTP 404
                raise self._error(doing, str(error)) from error
            raise os_errors.explain(doing, error) from error
        except ValueError as error:  # a name that no object can have
            raise ConfigurationError(f"{doing}: {_first_line(str(error))}") from error

    def _error(self, doing: str, text: str) -> StepError:
        """Return the error for obstore's ``text``; an unknown one is taken for temporary."""
        if self._anonymous and _METADATA_SERVICE.search(text):
            return ConfigurationError(
                f"{doing}: there are no credentials: set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or give the pod or machine a role",
                reason=Reason.AUTH,
            )
        status, code = _status(text), _first_group(_CODE, text)
        why = _reason(status, code, text)
        if code in _TEMPORARY or not (status or code in _CREDENTIALS or _PERMANENT.search(text)):
            return ToolError(f"{doing}: {why}", reason=Reason.NETWORK)
        if code in _CREDENTIALS and not status_codes.worth_retrying(status):
            status = 403
        return status_codes.refusal(
            status,
            f"{doing}: {why}",
            if_denied="check the credentials and their rights",
            if_missing=f"is there a bucket {self._bucket}?",
        )


def _open_store(bucket: str, access: Access, timeout: float) -> S3Store:
    from datetime import timedelta

    try:
        from obstore.store import S3Store
    except ImportError as error:
        raise ConfigurationError(
            "publishing to s3:// needs the package obstore, which is not installed here: "
            "pip install 'stepkit[s3]', or take an image that has it"
        ) from error
    _check(access)
    config: S3Config = {"region": access.region}
    if access.endpoint:
        config["endpoint"] = access.endpoint.rstrip("/")
    if access.key_id and access.secret_key:
        config |= {"access_key_id": access.key_id, "secret_access_key": access.secret_key}
        if access.session_token:
            config["session_token"] = access.session_token
    client: ClientConfig = {
        "timeout": timedelta(seconds=timeout),
        "connect_timeout": timedelta(seconds=min(timeout, _CONNECT_SECONDS)),
        "allow_http": (access.endpoint or "").startswith("http://"),
    }
    if access.ca_file:
        client["root_certificate"] = atomic_files.read(access.ca_file)
    try:
        return S3Store(
            bucket,
            config=config,
            client_options=client,
            retry_config={"max_retries": 0},  # stepkit.system.retry tries again, and logs it
        )
    except Exception as error:  # obstore has several for a wrong endpoint or certificate
        why = _first_line(str(error))
        raise ConfigurationError(f"cannot use {SCHEME}{bucket}: {why}") from error


def _check(access: Access) -> None:
    """Raise :class:`ConfigurationError` for an unusable key or endpoint, without showing it."""
    keys = {
        "AWS_ACCESS_KEY_ID": access.key_id,
        "AWS_SECRET_ACCESS_KEY": access.secret_key,
        "AWS_SESSION_TOKEN": access.session_token,
    }
    for name, key in keys.items():
        if key and re.search(r"[^\x21-\x7e]", key):  # obstore panics: it is not a valid header
            raise ConfigurationError(
                f"{name} holds a blank, a line break or another character that no key has",
                reason=Reason.AUTH,
            )
    if bool(access.key_id) != bool(access.secret_key):
        raise ConfigurationError(
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together: one of them is empty",
            reason=Reason.AUTH,
        )
    if not access.endpoint:
        return
    parts = urlsplit(access.endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in access.endpoint:
        raise ConfigurationError(
            "--endpoint-url must be https://HOST or http://HOST, without credentials"
        )


def _reason(status: int, code: str, text: str) -> str:
    """Return the part of obstore's text that says what went wrong."""
    if status:
        said = _first_group(_MESSAGE, text)
        return " ".join(filter(None, (f"HTTP {status}", code, f"({said})" if said else "")))
    if _CERTIFICATE in text:
        return "the server's certificate is not trusted: name its authority with --ca-file"
    sources = re.findall(r'"([^"\n]{3,200})"', text)  # of its debug text: the innermost is last
    return sources[-1] if sources else _first_line(text).rpartition(" - ")[2]


def _status(text: str) -> int:
    """Return the HTTP status in obstore's text, 0 if there is none."""
    return int(_first_group(_STATUS, text) or 0)


def _first_group(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""


def _first_line(text: str) -> str:
    return text.partition("\n")[0].strip()
