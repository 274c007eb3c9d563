"""One attempt at a download: a request for the file, or for the range that is still missing.

A partial file is continued only if it belongs to the same file: the server compares its validator
(``If-Range``), or the checksum of the whole is known.
"""

from __future__ import annotations

import os
import re
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stepkit.datasets import free_space
from stepkit.datasets.checksums import Checksums
from stepkit.datasets.partial_file import MismatchError, Receiver
from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.http import safe_urls
from stepkit.http.get import refusal
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from stepkit.datasets.partial_file import PartialFile, Request
    from stepkit.http.get import Answered, FileSource

_OK, _PARTIAL, _NOT_MODIFIED, _RANGE_NOT_SATISFIABLE = 200, 206, 304, 416
_LENGTH: Final = "[0-9]{1,19}"  # the digits of a 64-bit number
_CONTENT_RANGE: Final = re.compile(rf"bytes ({_LENGTH})-({_LENGTH})/({_LENGTH}|\*)")


class RestartError(ToolError):
    """The partial file cannot be continued: the download has to start again."""

    default_reason = Reason.NETWORK


@dataclass(frozen=True, kw_only=True)
class _Version:
    """Which version of a file is downloaded, and from which byte on; ``total`` is its full size."""

    offset: int = 0
    validator: str = ""
    total: int | None = None


def complete(
    source: FileSource, partial: PartialFile, request: Request, known: str = ""
) -> tuple[str, Checksums] | None:
    """Complete ``partial``; return the server's validator of it, ``""`` if there is none.

    With it come the checksums of the whole file. None means that the file on the server is still
    the one with the validator ``known``. Raises :class:`ToolError` when another attempt may help
    (:class:`MismatchError` and :class:`RestartError` among them), and :class:`ConfigurationError`.
    """
    version = _partial_version(source, partial, request)
    if version.offset and version.offset == (request.exact_size or version.total):
        with atomic_files.explaining(f"cannot read {partial.path}"):
            return version.validator, Checksums.of(partial.path, md5=bool(request.md5))
    conditions: dict[str, str] = {}
    if version.offset:
        conditions["Range"] = f"bytes={version.offset}-"
        if version.validator:
            conditions["If-Range"] = version.validator
    elif known:
        is_tag = known.startswith(('"', "W/"))
        conditions["If-None-Match" if is_tag else "If-Modified-Since"] = known
    pace = request.pace
    with closing(source.ask(conditions, stall=pace.stall, until=pace.until)) as answer:
        if known and answer.status == _NOT_MODIFIED:
            return None
        version = _answered_version(source, answer, version, request)
        _check_content(answer, version, request)
        end = version.total if version.total is not None else request.exact_size
        free_space.check(partial.path.parent, (end or 0) - version.offset, "the rest of the file")
        partial.truncate(version.offset)
        partial.write_sidecar(
            source=safe_urls.fingerprint(source.url),
            validator=version.validator,
            total=version.total,
        )
        where = safe_urls.masked(answer.url)
        receiver = Receiver(where, request, version.offset, end)
        return version.validator, receiver.append(answer.chunks(), partial)


def _partial_version(source: FileSource, partial: PartialFile, request: Request) -> _Version:
    """Return what to continue from: byte 0 unless the rest can be checked to fit."""
    if partial.size() and not os.access(partial.path, os.W_OK):
        partial.discard()  # of another user, in a directory that both can write to
    sidecar, offset = partial.read_sidecar(), partial.size()
    total, validator = sidecar.get("total"), str(sidecar.get("validator") or "")
    if sidecar.get("source") != safe_urls.fingerprint(source.url) or validator.startswith("W/"):
        validator = ""
    if not offset or not (request.content_is_known or validator):
        return _Version()
    total = total if isinstance(total, int) else None
    end = request.exact_size or total
    if end is not None and offset > end:
        return _Version()
    return _Version(offset=offset, validator=validator, total=total)


def _answered_version(
    source: FileSource, answer: Answered, before: _Version, request: Request
) -> _Version:
    """Return what the body holds; raise for an answer without the file."""
    validator = answer.header("ETag") or answer.header("Last-Modified")
    where = safe_urls.masked(answer.url)
    if answer.status == _PARTIAL:
        total = _continued_total(answer, before, validator, request)
        version = _Version(offset=before.offset, validator=validator, total=total)
    elif answer.status == _OK:
        length = answer.header("Content-Length")
        chunked = "chunked" in answer.header("Transfer-Encoding").lower()  # says where it ends
        total = int(length) if re.fullmatch(_LENGTH, length) and not chunked else None
        if total is None and not (chunked or request.exact_size or request.content_is_known):
            raise ConfigurationError(
                f"{where}: the server does not send the file's length, and the manifest has "
                "neither its sha256 nor its size in bytes: a truncated file would not be noticed"
            )
        version = _Version(validator=validator, total=total)
    elif answer.status == _RANGE_NOT_SATISFIABLE and before.offset:
        raise RestartError(f"{where}: the server has fewer bytes than arrived before")
    else:
        raise refusal(answer, if_denied=source.if_denied)
    if request.size and total is not None and not request.size.fits(total):
        _check_content(answer, version, request)
        raise MismatchError(f"{where} has {request.size.instead(total)}", got=f"{total} bytes")
    return version


def _continued_total(
    answer: Answered, before: _Version, validator: str, request: Request
) -> int | None:
    """Return the full size of the file whose rest the server sends, None if it is unknown.

    Raises :class:`RestartError` when it is not the rest of the partial file.
    """
    found = _CONTENT_RANGE.fullmatch(answer.header("Content-Range"))
    where = safe_urls.masked(answer.url)
    if not found or not before.offset or int(found[1]) != before.offset:
        raise RestartError(f"{where}: the server sent another range than was asked for")
    total = None if found[3] == "*" else int(found[3])
    if before.total is not None and total is not None and total != before.total:
        raise RestartError(f"{where}: the file's length has changed")
    # A server that sends a part has to name its ETag again (RFC 9110, 15.3.7), though not its date.
    silent = not validator and (request.content_is_known or not before.validator.startswith('"'))
    if before.validator and validator != before.validator and not silent:
        raise RestartError(f"{where}: the file has changed")
    return total


def _check_content(answer: Answered, version: _Version, request: Request) -> None:
    """Refuse a web page in place of data, such as a login page, and a compressed body."""
    kind = answer.header("Content-Type").partition(";")[0].strip().lower()
    if kind == "text/html" and not request.name.lower().endswith((".html", ".htm")):
        raise ToolError(
            f"{safe_urls.masked(answer.url)}: the server sent a web page in place of the file: "
            "does it ask for a login?",
            reason=Reason.NETWORK,
        )
    encoding = answer.header("Content-Encoding").lower()
    if encoding not in {"", "identity"} and not (request.content_is_known or version.offset):
        raise ConfigurationError(
            f"{safe_urls.masked(answer.url)}: the server compresses the file ({encoding}) though "
            "it was asked not to: give the sha256 of what it sends"
        )
