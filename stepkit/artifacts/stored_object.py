"""A file in object storage as a source of a download, which can be continued: s3:// and gs://."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

from stepkit.artifacts import gs_access, s3_access, s3_errors
from stepkit.errors import Reason, StepError, ToolError
from stepkit.system.time_limit import Caller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from obstore import BytesStream, GetOptions, GetResult
    from obstore.store import GCSStore, S3Store

T = TypeVar("T")

_CHUNK: Final = 2**16  # bytes, at least: a slow server's are saved soon
_WHOLE, _PART, _NOT_MODIFIED, _BEYOND_THE_END = 200, 206, 304, 416
_PUBLIC: Final = "; auth: anonymous reads a public bucket"
_IF_DENIED: Final = f"check the credentials and their rights to read it{_PUBLIC}"
_IF_NO_CREDENTIALS: Final = {
    s3_access.SCHEME: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod or "
    f"machine a role{_PUBLIC}",
    gs_access.SCHEME: f"set GOOGLE_SERVICE_ACCOUNT_KEY, or give the pod or machine a role{_PUBLIC}",
}


class StoredObject:
    """One object of a bucket; ``url`` names it, as ``s3://bucket/key`` or ``gs://bucket/key``.

    ``timeout`` is in seconds for each request. Raises :class:`ConfigurationError` without obstore,
    and for wrong credentials, before anything is asked for.
    """

    if_denied = _IF_DENIED

    def __init__(
        self, url: str, bucket: str, key: str, *, access: s3_access.Access, timeout: float
    ) -> None:
        self.url, self.bucket, self.key = url, bucket, key
        self.scheme = next(s for s in _IF_NO_CREDENTIALS if url.startswith(s))
        self.store: S3Store | GCSStore
        if self.scheme == s3_access.SCHEME:
            self.has_key = bool(access.key_id) or access.anonymous
            self.store = s3_access.open_store(bucket, access, timeout)
        else:
            self.has_key = bool(access.google_key) or access.anonymous
            self.store = gs_access.open_store(bucket, access, timeout)

    def ask(self, headers: Mapping[str, str], *, stall: float, until: float) -> StoredAnswer:
        """Ask for the object, or for the range that ``headers`` name, as a web server is asked.

        Heeds ``Range: bytes=N-`` with ``If-Range``, and ``If-None-Match``.

        Raises :class:`ToolError` when the server cannot be reached, and
        :class:`ConfigurationError` when it refuses.
        """
        from obstore.exceptions import NotModifiedError, PreconditionError

        answer = StoredAnswer(self, stall=stall, until=until)
        try:
            return answer.begin(_options(headers))
        except NotModifiedError:
            return answer.without_content(_NOT_MODIFIED)
        except PreconditionError:  # another version of the object: all of it, as If-Range asks
            return answer.begin({})
        except StepError as error:
            if s3_errors.http_status(str(error.__cause__)) == _BEYOND_THE_END:
                return answer.without_content(_BEYOND_THE_END)
            answer.close()
            raise
        except BaseException:
            answer.close()
            raise


class StoredAnswer:
    """What object storage answered: an :class:`~stepkit.http.get.Answered`.

    obstore's calls block in another thread, which a time limit or a signal leaves; awaiting each
    piece in an event loop takes twenty times the CPU.
    """

    def __init__(self, source: StoredObject, *, stall: float, until: float) -> None:
        self.url, self.status = source.url, _WHOLE
        self._source, self._stall, self._until = source, stall, until
        self._headers: dict[str, str] = {}
        self._stream: BytesStream | None = None
        self._caller = Caller()

    def begin(self, options: GetOptions) -> StoredAnswer:
        """Send the request, and wait for the head of the answer."""
        import obstore

        source = self._source
        found = self._wait(lambda: obstore.get(source.store, source.key, options=options))
        self.status = _PART if "range" in options else _WHOLE
        self._headers = _headers(found)
        self._stream = found.stream(min_chunk_size=_CHUNK)
        return self

    def without_content(self, status: int) -> StoredAnswer:
        """Make it an answer with this status and without a body."""
        self.status = status
        return self

    def header(self, name: str) -> str:
        """Return a header, ``""`` where there is none."""
        return self._headers.get(name, "")

    def chunks(self) -> Iterator[bytes]:
        """Yield the content as it arrives. Raises :class:`ToolError` when the connection breaks."""
        stream = self._stream or iter(())
        while chunk := self._wait(lambda: next(stream, b"")):
            yield chunk

    def beginning(self, *, seconds: float) -> bytes:  # noqa: ARG002 - errors have raised already
        """Return nothing: what a server said of an error is in the error's message."""
        return b""

    def close(self) -> None:
        """Close the connection."""
        self._stream = None
        self._caller.end()

    def _wait(self, act: Callable[[], T]) -> T:
        """Return what ``act`` returns within the time that the server has for each answer."""
        from obstore.exceptions import BaseError, NotModifiedError, PreconditionError

        source = self._source
        doing = f"cannot read {source.url}"
        try:
            return self._caller.call(act, min(self._stall, self._until - time.monotonic()))
        except TimeoutError as error:
            message = f"{doing}: no answer within {self._stall:g} s"
            raise ToolError(message, reason=Reason.NETWORK) from error
        except (NotModifiedError, PreconditionError):
            raise
        except (BaseError, FileNotFoundError) as error:
            raise s3_errors.explain(
                doing,
                str(error),
                bucket=source.bucket,
                anonymous=not source.has_key,
                if_no_credentials=_IF_NO_CREDENTIALS[source.scheme],
                if_denied=source.if_denied,
            ) from error


def _options(headers: Mapping[str, str]) -> GetOptions:
    options: GetOptions = {}
    if known := headers.get("If-None-Match"):
        options["if_none_match"] = known
    if wanted := headers.get("Range"):
        options["range"] = {"offset": int(wanted.removeprefix("bytes=").removesuffix("-"))}
        if headers.get("If-Range", "").startswith('"'):  # a date is compared by the caller
            options["if_match"] = headers["If-Range"]
    return options


def _headers(found: GetResult) -> dict[str, str]:
    from email.utils import format_datetime

    (first, end), meta = found.range, found.meta
    return {
        "ETag": meta["e_tag"] or "",
        "Last-Modified": format_datetime(meta["last_modified"], usegmt=True),
        "Content-Length": str(end - first),
        "Content-Range": f"bytes {first}-{end - 1}/{meta['size']}",
    }
