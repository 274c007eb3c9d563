"""Object storage that speaks S3's protocol (AWS, MinIO, Ceph), through obstore.

obstore is a single package without an AWS SDK, whose pins could conflict with those of notebooks.
Its asynchronous calls are used because only they can be interrupted by a signal.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from stepkit.artifacts import s3_access, s3_errors
from stepkit.artifacts.directory import Stored
from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.system import os_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from obstore import PutMode

    from stepkit.artifacts.manifest import Artifact
    from stepkit.errors import StepError

T = TypeVar("T")

_DIGEST: Final = "sha256"  # our metadata of an object: x-amz-meta-sha256
_READ_AT_ONCE: Final = 16
_NOT_IMPLEMENTED: Final = 501
_CAN_RUN_SCRIPTS: Final = frozenset({"text/html", "application/xhtml+xml", "image/svg+xml"})


@dataclass(frozen=True, kw_only=True)
class Listed:
    """An object of a listing: ``size`` is in bytes, ``version`` is its ETag."""

    size: int
    version: str


class Bucket:
    """A prefix of a bucket, ``s3://bucket/prefix``, as a destination.

    ``timeout`` is in seconds for each file. With ``download_pages`` browsers save the pages that
    could run scripts instead of showing them.
    """

    def __init__(
        self, url: str, access: s3_access.Access, *, timeout: float, download_pages: bool = False
    ) -> None:
        if "@" in url or "?" in url or "#" in url:  # it may hold a password: not shown
            raise ConfigurationError(
                "an s3:// destination is s3://bucket/prefix, without credentials, ? and #"
            )
        self._bucket, _, prefix = url.removeprefix(s3_access.SCHEME).partition("/")
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", self._bucket):
            raise ConfigurationError(f"{url!r} names no bucket: write s3://bucket/prefix")
        self._prefix = prefix.strip("/")
        self._timeout = timeout
        self._download_pages = download_pages
        self._anonymous = access.key_id is None
        self._store = s3_access.open_store(self._bucket, access, timeout)

    def location(self, key: str) -> str:
        """Return the object's ``s3://`` URL."""
        return f"{s3_access.SCHEME}{self._bucket}/{self._key(key)}"

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

    def exclusive(self) -> AbstractContextManager[None]:
        """Keep nobody out: :meth:`replace` finds who came in between."""
        return nullcontext()

    def listing(self) -> Mapping[str, Listed]:
        """Return all objects below the prefix, by key."""
        import obstore

        async def walk() -> dict[str, Listed]:
            found = {}
            async for chunk in obstore.list(self._store, prefix=self._prefix or None):
                for meta in chunk:
                    key = meta["path"].removeprefix(self._prefix).lstrip("/")
                    found[key] = Listed(size=meta["size"], version=meta["e_tag"] or "")
            return found

        return self._run("list", "", walk)

    def version(self, key: str) -> str | None:
        """Return the object's ETag, None if there is no such object."""
        import obstore

        async def head() -> str | None:
            try:
                found = await obstore.head_async(self._store, self._key(key))
            except FileNotFoundError:
                return None
            return found["e_tag"]

        return self._run("look up", key, head)

    def contents(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | StepError]]:
        """Yield each object's content, or that it is gone; several are read at once."""
        import asyncio

        import obstore

        async def read(key: str) -> bytes | StepError:
            try:
                found = await obstore.get_async(self._store, self._key(key))
                return bytes(await found.bytes_async())
            except FileNotFoundError:
                message = f"there is no {self.location(key)}"
                return ConfigurationError(message, reason=Reason.NOT_FOUND)

        for start in range(0, len(keys), _READ_AT_ONCE):
            some = keys[start : start + _READ_AT_ONCE]

            async def read_some(some: Sequence[str] = some) -> list[bytes | StepError]:
                return await asyncio.gather(*map(read, some))

            yield from zip(some, self._run("read", some[0], read_some), strict=True)

    def replace(self, key: str, content: bytes, media_type: str, *, version: str | None) -> bool:
        """Write an object with If-Match, or If-None-Match for a new one; False if it has changed.

        Raises :class:`ConfigurationError` if the server knows no conditional writes.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        attributes = {"Content-Type": media_type, "Cache-Control": "no-cache"}
        mode: PutMode = "create" if version is None else {"e_tag": version}

        async def put() -> bool:
            try:
                await obstore.put_async(
                    self._store, self._key(key), content, attributes=attributes, mode=mode
                )
            except (AlreadyExistsError, PreconditionError):
                return False
            except BaseError as error:
                if s3_errors.http_status(str(error)) != _NOT_IMPLEMENTED:
                    raise
                raise ConfigurationError(
                    f"cannot write {self.location(key)}: the server knows no conditional "
                    "writes (If-Match), without which runs would overwrite each other's index"
                ) from error
            return True

        return self._run("write", key, put)

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
            raise self._error(doing, error) from error
        except OSError as error:
            if s3_errors.http_status(str(error)):  # obstore raises FileNotFoundError for HTTP 404
                raise self._error(doing, error) from error
            raise os_errors.explain(doing, error) from error
        except ValueError as error:  # a name that no object can have
            raise ConfigurationError(f"{doing}: {s3_errors.first_line(str(error))}") from error

    def _error(self, doing: str, error: Exception) -> StepError:
        return s3_errors.explain(doing, str(error), bucket=self._bucket, anonymous=self._anonymous)
