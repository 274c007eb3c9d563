"""Download over HTTP: redirects are followed, and a token reaches its own origin only.

A token goes to the origin (scheme, host and port) that it is for. A redirect to another origin is
followed without it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from stepkit.errors import ConfigurationError
from stepkit.formats.shorten import shorten
from stepkit.http import connection, safe_urls, status_codes
from stepkit.system import tool_evidence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stepkit.errors import StepError
    from stepkit.http.connection import Answer

_OF_URLS: Final = "!#$%&'()*+,/:;=?@[]~"  # characters that are not quoted
_MOST_REDIRECTS: Final = 10
_REDIRECTS: Final = {301, 302, 303, 307, 308}
_MOST_BODY: Final = 2048  # characters of a refusal that are shown
_BODY_SECONDS: Final = 2.0
_S3_ERROR: Final = re.compile(r"<(Code|Message)>([^<]*)</")


_IF_DENIED: Final = (
    "is a token named by auth, valid, and allowed to read it? A signed URL may be old"
)


class Answered(Protocol):
    """What a server answered: an :class:`~stepkit.http.connection.Answer`, or one like it."""

    @property
    def url(self) -> str:
        """Where the answer came from."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    def header(self, name: str) -> str:
        """Return a header, ``""`` where there is none."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it arrives. Raises :class:`ToolError` when the connection breaks."""

    def beginning(self, *, seconds: float) -> bytes:
        """Return the beginning of the body, b"" if it does not come within ``seconds``."""

    def close(self) -> None:
        """Close the connection."""


class FileSource(Protocol):
    """Where a file is; ``if_denied`` is the advice for a server that refuses access."""

    @property
    def url(self) -> str:
        """Its address, which messages show through :func:`~stepkit.http.safe_urls.masked`."""

    @property
    def if_denied(self) -> str:
        """What to do about status 401 and 403."""

    def ask(self, headers: Mapping[str, str], *, stall: float, until: float) -> Answered:
        """Ask for the file, as :func:`get` does."""


@dataclass(frozen=True)
class Source:
    """A file on a web server, and the token that its origin gets."""

    url: str
    token: str | None = None
    if_denied: str = _IF_DENIED

    def ask(self, headers: Mapping[str, str], *, stall: float, until: float) -> Answer:
        """Ask for the file, as :func:`get` does."""
        return get(self, headers, stall=stall, until=until)


def get(source: Source, headers: Mapping[str, str], *, stall: float, until: float) -> Answer:
    """Ask for ``source`` and follow redirects.

    ``stall`` is the most seconds without an answer, ``until`` the time of :func:`time.monotonic`
    at which all of it ends.

    Raises :class:`ToolError` when the server cannot be reached, and :class:`ConfigurationError`
    when a URL on the way is not allowed.
    """
    url, token = source.url, source.token
    for _ in range(_MOST_REDIRECTS):
        safe_urls.check_url(url, token=bool(token))
        sent = {**headers, "Authorization": f"Bearer {token}"} if token else headers
        answer = connection.request("GET", url, sent, stall=stall, until=until)
        location = answer.header("Location")
        if answer.status not in _REDIRECTS or not location:
            return answer
        answer.close()
        target = _redirect_target(url, location)
        token = token if safe_urls.origin(target) == safe_urls.origin(url) else None
        url = target
    raise ConfigurationError(
        f"{safe_urls.masked(source.url)}: more than {_MOST_REDIRECTS} redirects: check the URL"
    )


def refusal(answer: Answered, *, if_denied: str = _IF_DENIED) -> StepError:
    """Return the error for an answer without the file: its class says whether waiting helps.

    Its evidence is what the server said in the body, if that is plain text, JSON or XML.
    """
    error = status_codes.refusal(
        answer.status,
        f"{safe_urls.masked(answer.url)}: the server answered HTTP {answer.status}",
        if_denied=if_denied,
        if_missing="check the URL",
        retry_after=answer.header("Retry-After"),
    )
    error.evidence = tool_evidence.of_output(_said(answer), message=str(error))
    return error


def _said(answer: Answered) -> str:
    kind = answer.header("Content-Type").partition(";")[0].strip().lower()
    if not re.fullmatch(r"text/plain|(?:application|text)/(?:[\w.-]+\+)?(?:json|xml)", kind):
        return ""  # a page for people says little to them as text
    body = shorten(answer.beginning(seconds=_BODY_SECONDS).decode(errors="replace"), _MOST_BODY)
    if kind.endswith("xml"):  # that of S3 repeats what was signed
        return "\n".join(": ".join(found) for found in _S3_ERROR.findall(body))
    return body


def _redirect_target(url: str, location: str) -> str:
    from urllib.parse import quote, urljoin

    shown = safe_urls.masked(url)
    try:  # servers write names of files as they are: in UTF-8, with blanks
        target = urljoin(url, quote(location.encode("latin-1", "replace"), safe=_OF_URLS))
    except ValueError as error:
        raise ConfigurationError(f"{shown}: the server redirects to what is not a URL") from error
    if safe_urls.origin(url)[0] == "https" and safe_urls.origin(target)[0] == "http":
        raise ConfigurationError(
            f"{shown}: the server redirects to {safe_urls.masked(target)}, which is not encrypted"
        )
    return target
