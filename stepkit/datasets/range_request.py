"""One try at a file: from a server into a part, which the next try goes on from.

A part is gone on from only if it is one of the same file: the server compares its validator
(If-Range), or whoever asked has the checksum of the whole.
"""

from __future__ import annotations

import os
import re
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stepkit.datasets.partial_file import MismatchError, Receipt
from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.http import get as http_get
from stepkit.http import safe_urls
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from pathlib import Path

    from stepkit.datasets.partial_file import Pace, Part, Wanted
    from stepkit.http.connection import Answer
    from stepkit.http.get import Source

_OK, _PARTIAL, _NOT_MODIFIED, _BEYOND_THE_END = 200, 206, 304, 416  # HTTP's
_LENGTH: Final = "[0-9]{1,19}"  # no file has more bytes than a number of 64 bits
_CONTENT_RANGE: Final = re.compile(rf"bytes ({_LENGTH})-({_LENGTH})/({_LENGTH}|\*)")


class RestartError(ToolError):
    """The part cannot be gone on from."""

    usual = Reason.NETWORK


@dataclass(frozen=True, kw_only=True)
class _Begun:
    """From where to go on, and what must be true of the rest."""

    offset: int = 0
    validator: str = ""
    total: int | None = None


def load(source: Source, part: Part, wanted: Wanted, pace: Pace, known: str = "") -> str | None:
    """Fill ``part`` to its end; return the server's validator of it, ``""`` if it gives none.

    None means that the file is still the one with the validator ``known``. Raises
    :class:`ToolError` when another try may help (:class:`MismatchError` and :class:`RestartError`
    among them), and :class:`ConfigurationError`.
    """
    begun = _begun(source, part, wanted)
    if begun.offset and begun.offset == (wanted.size or begun.total):
        return begun.validator
    with closing(http_get.get(source, _conditions(begun, known), stall=pace.stall)) as answer:
        if known and answer.status == _NOT_MODIFIED:
            return None
        begun = _accepted(answer, begun, wanted)
        _check_kind(answer, begun, wanted)
        end = begun.total if begun.total is not None else wanted.size
        _check_space(part.path, (end or 0) - begun.offset)
        part.begin(begun.offset)
        part.tell(
            source=safe_urls.fingerprint(source.url), validator=begun.validator, total=begun.total
        )
        receipt = Receipt(safe_urls.masked(answer.url), wanted, pace, begun.offset, end)
        receipt.append(answer.chunks(), part)
    return begun.validator


def _begun(source: Source, part: Part, wanted: Wanted) -> _Begun:
    """Return what there is to go on from: nothing, where nobody could tell that it fits."""
    if part.size() and not os.access(part.path, os.W_OK):
        part.discard()  # another user's, in a directory of both
    told, offset = part.told(), part.size()
    total, validator = told.get("total"), str(told.get("validator") or "")
    if told.get("source") != safe_urls.fingerprint(source.url) or validator.startswith("W/"):
        validator = ""
    if not offset or not (wanted.sha256 or validator):
        return _Begun()
    total = total if isinstance(total, int) else None
    end = wanted.size or total
    if end is not None and offset > end:
        return _Begun()
    return _Begun(offset=offset, validator=validator, total=total)


def _conditions(begun: _Begun, known: str) -> dict[str, str]:
    if begun.offset:
        since = {"If-Range": begun.validator} if begun.validator else {}
        return {"Range": f"bytes={begun.offset}-", **since}
    if known:
        is_tag = known.startswith(('"', "W/"))
        return {"If-None-Match" if is_tag else "If-Modified-Since": known}
    return {}


def _accepted(answer: Answer, begun: _Begun, wanted: Wanted) -> _Begun:
    """Return what the body is; raise for an answer without the file."""
    validator = answer.header("ETag") or answer.header("Last-Modified")
    where = safe_urls.masked(answer.url)
    if answer.status == _PARTIAL:
        total = _continued(answer, begun, validator, wanted)
        begun = _Begun(offset=begun.offset, validator=validator, total=total)
    elif answer.status == _OK:
        begun = _Begun(validator=validator, total=_length(answer, wanted))
    elif answer.status == _BEYOND_THE_END and begun.offset:
        raise RestartError(f"{where}: the server has fewer bytes than came before")
    else:
        raise http_get.refusal(answer)
    total = begun.total
    if wanted.size is not None and total is not None and total != wanted.size:
        _check_kind(answer, begun, wanted)
        raise MismatchError(
            f"{where} has {total} bytes instead of {wanted.size}", got=f"{total} bytes"
        )
    return begun


def _length(answer: Answer, wanted: Wanted) -> int | None:
    """Return the length of the whole body; None for one that says itself where it ends."""
    length = answer.header("Content-Length")
    if "chunked" in answer.header("Transfer-Encoding").lower():
        return None
    if re.fullmatch(_LENGTH, length):
        return int(length)
    if not wanted.size and not wanted.sha256:
        raise ConfigurationError(
            f"{safe_urls.masked(answer.url)}: the server does not tell the file's length, and the "
            "manifest neither its sha256 nor its size: nobody could tell whether all of it came"
        )
    return None


def _continued(answer: Answer, begun: _Begun, validator: str, wanted: Wanted) -> int | None:
    """Return the length of the whole file of which the server sends the rest."""
    told = _CONTENT_RANGE.fullmatch(answer.header("Content-Range"))
    where = safe_urls.masked(answer.url)
    if not told or not begun.offset or int(told[1]) != begun.offset:
        raise RestartError(f"{where}: the server sent another range than was asked for")
    total = None if told[3] == "*" else int(told[3])
    if begun.total is not None and total is not None and total != begun.total:
        raise RestartError(f"{where}: the file's length has changed")
    # A server that sends a part has to name its ETag again (RFC 9110, 15.3.7), though not its date.
    silent = not validator and (wanted.sha256 or not begun.validator.startswith('"'))
    if begun.validator and validator != begun.validator and not silent:
        raise RestartError(f"{where}: the file has changed")
    return total


def _check_kind(answer: Answer, begun: _Begun, wanted: Wanted) -> None:
    """Refuse a page of words in place of data, such as a login page, and what was compressed."""
    kind = answer.header("Content-Type").partition(";")[0].strip().lower()
    if kind == "text/html" and not wanted.name.lower().endswith((".html", ".htm")):
        raise ToolError(
            f"{safe_urls.masked(answer.url)}: the server sent a web page in place of the file: "
            "does it ask for a login?",
            reason=Reason.NETWORK,
        )
    encoding = answer.header("Content-Encoding").lower()
    if encoding not in {"", "identity"} and not wanted.sha256 and not begun.offset:
        raise ConfigurationError(
            f"{safe_urls.masked(answer.url)}: the server compresses the file ({encoding}) though "
            "it was asked not to: give the sha256 of what it sends"
        )


def _check_space(path: Path, need: int) -> None:
    with atomic_files.explaining(f"cannot look at the disk of {path.parent}"):
        disk = os.statvfs(path.parent)
    free = disk.f_bavail * disk.f_frsize
    if need > free:
        raise ToolError(
            f"{path.parent} has {free / 1e6:.1f} MB of free space, and {need / 1e6:.1f} MB are to "
            "come: free some and run again",
            reason=Reason.DISK_FULL,
        )
