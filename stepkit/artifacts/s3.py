"""Object storage that speaks S3's protocol (AWS, MinIO, Ceph), through obstore.

obstore brings one package and no AWS SDK, whose pins are the notebooks' own business. Its
asynchronous calls are used because only they can be interrupted by a signal.
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
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from obstore.store import ClientConfig, S3Config, S3Store

    from stepkit.artifacts.manifest import Artifact

T = TypeVar("T")

SCHEME: Final = "s3://"

_DIGEST: Final = "sha256"  # our metadata of an object: x-amz-meta-sha256
_CONNECT_SECONDS: Final = 15.0
_ACTIVE: Final = frozenset({"text/html", "application/xhtml+xml", "image/svg+xml"})

_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>([^<]{1,80})</Code>")
_TEXT: Final = re.compile(r"<Message>([^<]{1,300})</Message>")
# S3 API reference, "Error responses": those that pass, and those about who asks.
_PASSING: Final = {"RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable"}
_WHO: Final = {"ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
# obstore tells these apart in its text alone.
_CERTIFICATE: Final = "InvalidCertificate"
_PERMANENT: Final = re.compile(rf"{_CERTIFICATE}|builder error|Received redirect")
_ROLE: Final = re.compile(r"/latest/(api/token|meta-data)")


@dataclass(frozen=True, kw_only=True)
class Access:
    """Where the server is and who asks; without a key, the pod's or machine's role is taken."""

    endpoint: str | None = None
    region: str = "us-east-1"
    key_id: str | None = None
    secret_key: str | None = None
    session_token: str | None = None
    ca_file: Path | None = None


class Bucket:
    """All under one prefix of a bucket, ``s3://bucket/prefix``; ``timeout`` in seconds a file.

    With ``download_pages`` a browser saves what could run scripts, and does not show it.
    """

    def __init__(
        self, url: str, access: Access, *, timeout: float, download_pages: bool = False
    ) -> None:
        self._bucket, self._prefix = _parts(url)
        self._timeout = timeout
        self._download_pages = download_pages
        self._anonymous = access.key_id is None
        self._store = _open(self._bucket, access, timeout)

    def location(self, key: str) -> str:
        """Return the object's ``s3://`` URL."""
        return f"{SCHEME}{self._bucket}/{self._key(key)}"

    def look(self, key: str) -> Stored | None:
        """Ask for the object's size and for the digest that was stored with it."""
        import obstore

        async def head() -> Stored | None:
            try:
                found = await obstore.get_async(self._store, self._key(key), options={"head": True})
            except FileNotFoundError:
                return None
            return Stored(size=found.meta["size"], sha256=found.attributes.get(_DIGEST))

        return self._done("look at", key, head)

    def sha256(self, key: str) -> str:
        """Read the object."""
        import hashlib

        import obstore

        async def read() -> str:
            digest = hashlib.sha256()
            found = await obstore.get_async(self._store, self._key(key))
            async for chunk in found.stream():
                digest.update(chunk)
            return digest.hexdigest()

        return self._done("read", key, read)

    def send(self, source: Path, key: str, artifact: Artifact) -> None:
        """Upload in one request, or in parts of 5 MiB that appear together."""
        import obstore

        attributes = {"Content-Type": _content_type(artifact), _DIGEST: artifact.sha256}
        if self._download_pages and artifact.media_type in _ACTIVE:
            attributes["Content-Disposition"] = "attachment"

        async def put() -> None:
            await obstore.put_async(self._store, self._key(key), source, attributes=attributes)

        self._done("write", key, put)

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    def _done(self, what: str, key: str, act: Callable[[], Coroutine[Any, Any, T]]) -> T:
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
            raise self._judged(doing, str(error)) from error
        except OSError as error:
            if _status(str(error)):  # HTTP 404 is a FileNotFoundError
                raise self._judged(doing, str(error)) from error
            raise atomic_files.os_error(doing, error) from error
        except ValueError as error:  # a name that no object can have
            raise ConfigurationError(f"{doing}: {_first_line(str(error))}") from error

    def _judged(self, doing: str, text: str) -> StepError:
        """Say whose fault it is; what is not known to be permanent may pass."""
        if self._anonymous and _ROLE.search(text):
            return ConfigurationError(
                f"{doing}: there are no credentials: set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or give the pod or machine a role",
                reason=Reason.AUTH,
            )
        status, code = _status(text), _found(_CODE, text)
        why = _why(status, code, text)
        if code in _PASSING or not (status or code in _WHO or _PERMANENT.search(text)):
            return ToolError(f"{doing}: {why}", reason=Reason.NETWORK)
        if code in _WHO and not status_codes.worth_retrying(status or 0):
            status = 403
        return status_codes.refusal(
            status or 0,
            f"{doing}: {why}",
            if_denied="check the credentials and their rights",
            if_missing=f"is there a bucket {self._bucket}?",
        )


def _parts(url: str) -> tuple[str, str]:
    """Take ``s3://bucket/prefix`` apart; raises :class:`ConfigurationError`."""
    if "@" in url or "?" in url or "#" in url:  # it may hold a password: not shown
        raise ConfigurationError(
            "an s3:// destination is s3://bucket/prefix, without credentials, ? and #"
        )
    bucket, _, prefix = url.removeprefix(SCHEME).partition("/")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        raise ConfigurationError(f"{url!r} names no bucket: write s3://bucket/prefix")
    return bucket, prefix.strip("/")


def _open(bucket: str, access: Access, timeout: float) -> S3Store:
    try:
        from obstore.store import S3Store
    except ImportError as error:
        raise ConfigurationError(
            "publishing to s3:// needs the package obstore, which is not installed here: "
            "pip install 'stepkit[s3]', or take an image that has it"
        ) from error
    _check_keys(access)
    if bool(access.key_id) != bool(access.secret_key):
        raise ConfigurationError(
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together: one of them is empty",
            reason=Reason.AUTH,
        )
    try:
        return S3Store(
            bucket,
            config=_config(access),
            client_options=_client(access, timeout),
            retry_config={"max_retries": 0},  # stepkit.system.retry tries again, and says so
        )
    except Exception as error:  # obstore has several for a wrong endpoint or certificate
        why = _first_line(str(error))
        raise ConfigurationError(f"cannot use {SCHEME}{bucket}: {why}") from error


def _check_keys(access: Access) -> None:
    """Raise :class:`ConfigurationError` for what no header takes: obstore breaks down on it."""
    keys = {
        "AWS_ACCESS_KEY_ID": access.key_id,
        "AWS_SECRET_ACCESS_KEY": access.secret_key,
        "AWS_SESSION_TOKEN": access.session_token,
    }
    for name, key in keys.items():
        if key and re.search(r"[^\x21-\x7e]", key):
            raise ConfigurationError(
                f"{name} holds a blank, a line break or another character that no key has",
                reason=Reason.AUTH,
            )


def _config(access: Access) -> S3Config:
    config: S3Config = {"region": access.region}
    if access.endpoint:
        parts = urlsplit(access.endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in access.endpoint:
            raise ConfigurationError(
                "--endpoint-url must be https://HOST or http://HOST, without credentials"
            )
        config["endpoint"] = access.endpoint.rstrip("/")
    if access.key_id and access.secret_key:
        config |= {"access_key_id": access.key_id, "secret_access_key": access.secret_key}
        if access.session_token:
            config["session_token"] = access.session_token
    return config


def _client(access: Access, timeout: float) -> ClientConfig:
    from datetime import timedelta

    client: ClientConfig = {
        "timeout": timedelta(seconds=timeout),
        "connect_timeout": timedelta(seconds=min(timeout, _CONNECT_SECONDS)),
        "allow_http": (access.endpoint or "").startswith("http://"),
    }
    if access.ca_file:
        client["root_certificate"] = atomic_files.read(access.ca_file)
    return client


def _content_type(artifact: Artifact) -> str:
    """Name the characters too: a browser that has to guess shows the wrong ones."""
    text = artifact.media_type.startswith("text/") and "charset" not in artifact.media_type
    return f"{artifact.media_type}; charset=utf-8" if text else artifact.media_type


def _status(text: str) -> int | None:
    found = _found(_STATUS, text)
    return int(found) if found else None


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""


def _why(status: int | None, code: str, text: str) -> str:
    if status:
        said = _found(_TEXT, text)
        return " ".join(filter(None, (f"HTTP {status}", code, f"({said})" if said else "")))
    if _CERTIFICATE in text:
        return "the server's certificate is not trusted: name its authority with --ca-file"
    sources = re.findall(r'"([^"\n]{3,200})"', text)  # of its debug text: the innermost is last
    return sources[-1] if sources else _first_line(text).rpartition(" - ")[2]


def _first_line(text: str) -> str:
    return text.partition("\n")[0].strip()
