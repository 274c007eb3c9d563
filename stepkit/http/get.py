"""One GET over HTTP, through urllib3: redirects, proxies and tokens by our own rules.

A token goes to the origin (scheme, host and port) that it is for, and to no other: a redirect to
another one is followed without it. No message shows a URL's query, which may be a signature.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.http import status_codes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from urllib.parse import SplitResult

    import urllib3

_MOST_REDIRECTS: Final = 10
_LONGEST_CONNECT: Final = 30.0  # seconds
_CHUNK: Final = 2**20  # bytes, at most: what is there is read at once
_REDIRECTS: Final = {301, 302, 303, 307, 308}
_PORTS: Final = {"http": 80, "https": 443}
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_NO_ADDRESS: Final = re.compile(r"[\x00-\x20\x7f\ud800-\udfff]")
_SPOKEN_BY: Final = re.compile(r"^<?\w*Connection(Pool)?\(.*?\)>?: ")  # an object's repr


class BusyError(ToolError):
    """The server cannot answer now; ``retry_after`` is how many seconds it asked to wait."""

    retry_after: float | None = None


@dataclass(frozen=True)
class Source:
    """Where a file is, and the token that its origin gets."""

    url: str
    token: str | None = None


class Answer:
    """What a server answered: ``status``, headers, and its body in pieces."""

    def __init__(self, response: urllib3.BaseHTTPResponse, url: str) -> None:
        self._response = response
        self.url = url
        self.status = response.status

    def header(self, name: str) -> str:
        """Return a header, ``""`` where there is none."""
        return self._response.headers.get(name) or ""

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it comes. Raises :class:`ToolError` when the connection breaks."""
        import http.client

        import urllib3

        try:
            while chunk := self._response.read1(_CHUNK):
                yield chunk
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, ValueError) as error:
            raise _unreachable(self.url, error) from error

    def close(self) -> None:
        """Close the connection, at once."""
        self._response.close()

    def refusal(self) -> StepError:
        """Say what the status means: whose fault it is, and whether waiting helps."""
        said = f"{shown(self.url)}: the server answered HTTP {self.status}"
        if self.status in status_codes.DENIED:
            hint = (
                "is a token named by auth, valid, and allowed to read it? A signed URL may be old"
            )
            return ConfigurationError(f"{said}: {hint}", reason=Reason.AUTH)
        if self.status in status_codes.MISSING:
            return ConfigurationError(f"{said}: check the URL", reason=Reason.NOT_FOUND)
        if status_codes.may_pass(self.status):
            busy = BusyError(said, reason=Reason.NETWORK)
            busy.retry_after = _seconds(self.header("Retry-After"))
            return busy
        return ConfigurationError(said)


def shown(url: str) -> str:
    """Return ``url`` as a log may show it: no user, no password, no query."""
    parts = _parts(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    host += f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{parts.path}{'?...' if parts.query else ''}"


def fingerprint(url: str) -> str:
    """Return the SHA-256 of a URL, which may be written down where the URL itself may not."""
    import hashlib

    return hashlib.sha256(url.encode()).hexdigest()


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of ``url``."""
    parts = _parts(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def check_url(url: str, *, token: bool = False) -> None:
    """Refuse what is no plain web address, and a ``token`` that would travel for all to read.

    Raises :class:`ConfigurationError`.
    """
    parts = _parts(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ConfigurationError(f"{shown(url)!a} is no https:// or http:// address of a file")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            f"{shown(url)}: this URL holds a user name or password: name a token by auth instead"
        )
    if _is_link_local(parts.hostname):
        raise ConfigurationError(
            f"{shown(url)} is an address of the machine's own network, where clouds keep "
            "credentials: it is no source of datasets"
        )
    if token and parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise ConfigurationError(f"{shown(url)}: a token is sent over https:// only")


def get(source: Source, headers: Mapping[str, str], *, stall: float) -> Answer:
    """Ask for ``source``, following redirects; ``stall`` seconds without an answer are too many.

    Raises :class:`ToolError` when the server cannot be reached, and :class:`ConfigurationError`
    when it leads to where we do not go.
    """
    url, token = source.url, source.token
    for _ in range(_MOST_REDIRECTS):
        check_url(url, token=bool(token))
        sent = {**headers, "Authorization": f"Bearer {token}"} if token else dict(headers)
        answer = Answer(_request(url, sent, stall), url)
        location = answer.header("Location")
        if answer.status not in _REDIRECTS or not location:
            return answer
        answer.close()
        following = _joined(url, location)
        token = token if origin(following) == origin(url) else None
        url = following
    raise ConfigurationError(
        f"{shown(source.url)}: more than {_MOST_REDIRECTS} redirects", reason=Reason.NETWORK
    )


def _joined(url: str, location: str) -> str:
    from urllib.parse import urljoin

    try:
        following = urljoin(url, location)
    except ValueError as error:
        raise ConfigurationError(f"{shown(url)}: the server redirects to no URL") from error
    if _parts(url).scheme == "https" and _parts(following).scheme == "http":
        raise ConfigurationError(
            f"{shown(url)}: the server redirects to {shown(following)}, which is not encrypted"
        )
    return following


def _request(url: str, headers: Mapping[str, str], stall: float) -> urllib3.BaseHTTPResponse:
    import urllib3

    timeout = urllib3.Timeout(connect=min(stall, _LONGEST_CONNECT), read=stall)
    try:
        return _pool(url).request(
            "GET",
            url,
            headers={"Accept-Encoding": "identity", "User-Agent": "stepkit", **headers},
            timeout=timeout,
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise _unreachable(url, error) from error


def _pool(url: str) -> urllib3.PoolManager:
    """Make the way to a server: by the proxy that the environment names for it, or straight."""
    from base64 import b64encode
    from urllib.parse import unquote_to_bytes
    from urllib.request import getproxies_environment, proxy_bypass

    import urllib3

    parts, proxies = _parts(url), getproxies_environment()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc):
        return urllib3.PoolManager()
    try:
        given = _parts(proxy if "://" in proxy else f"http://{proxy}")
    except ConfigurationError as error:
        raise ConfigurationError(f"the proxy that the environment names: {error}") from error
    user = unquote_to_bytes(f"{given.username}:{given.password or ''}") if given.username else b""
    return urllib3.ProxyManager(
        f"{given.scheme}://{given.netloc.rpartition('@')[2]}",
        proxy_headers={"Proxy-Authorization": f"Basic {b64encode(user).decode()}"} if user else {},
    )


def _unreachable(url: str, error: Exception) -> StepError:
    import ssl

    import urllib3

    said_by_it = str(error.args[0]) if len(error.args) > 1 else str(error)
    text = _SPOKEN_BY.sub("", said_by_it) or type(error).__name__
    said = f"{shown(url)}: {' '.join(text.split())[:300]}"
    if "CERTIFICATE_VERIFY_FAILED" in text or isinstance(error, ssl.SSLCertVerificationError):
        return ConfigurationError(
            f"{said}: if its certificate is your own authority's, name that in SSL_CERT_FILE",
            reason=Reason.NETWORK,
        )
    if isinstance(error, urllib3.exceptions.LocationValueError):
        return ConfigurationError(said)
    return ToolError(said, reason=Reason.NETWORK)


def _parts(url: str) -> SplitResult:
    from urllib.parse import urlsplit

    if _NO_ADDRESS.search(url):
        said = f"the URL {_veiled(url)!a} holds a blank or line break, or is no text"
        raise ConfigurationError(said)
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:  # whose text quotes the URL
        raise ConfigurationError(f"{_veiled(url)!a} is no URL") from error
    return parts


def _veiled(url: str) -> str:
    """Return what may be shown of a URL that cannot be taken apart."""
    scheme, there, rest = url.partition("://")
    return f"{scheme}{there}..." if "@" in rest else re.split("[?#]", url)[0]


def _is_link_local(host: str) -> bool:
    import ipaddress

    if host == "metadata.google.internal":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_link_local
    except ValueError:
        return False


def _seconds(text: str) -> float | None:
    """Read ``Retry-After``: seconds or a date (RFC 9110, 10.2.3); None for anything else."""
    from email.utils import parsedate_to_datetime

    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())
