"""Which URLs are used, and how a log may show them: without a user, a password and a query."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError
from stepkit.http import addresses

if TYPE_CHECKING:
    from urllib.parse import SplitResult

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_PORTS: Final = {"http": 80, "https": 443}
_INVALID: Final = re.compile(r"[\x00-\x20\x7f\ud800-\udfff]")


def masked(url: str) -> str:
    """Return ``url`` as a log may show it: the query, which may be a signature, as ``?...``."""
    parts = split(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    host += f":{parts.port}" if parts.port else ""
    start = f"{parts.scheme}:" if parts.scheme else ""
    start += "//" if url[len(start) :].startswith("//") else ""
    return f"{start}{host}{parts.path}{'?...' if parts.query else ''}"


def fingerprint(url: str) -> str:
    """Return the SHA-256 of ``url``, for files that must not hold the URL itself."""
    import hashlib

    return hashlib.sha256(url.encode()).hexdigest()


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of ``url``."""
    parts = split(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def check_url(url: str, *, token: bool = False) -> None:
    """Refuse a URL that is not a plain web address; with a ``token``, also one without TLS.

    Raises :class:`ConfigurationError`.
    """
    parts = split(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ConfigurationError(f"{masked(url)!a} is not an https:// or http:// address of a file")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            f"{masked(url)}: this URL holds a user name or password: name a token by auth instead"
        )
    addresses.check(parts.hostname, masked(url))
    if token and parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise ConfigurationError(f"{masked(url)}: a token is sent over https:// only")


def split(url: str) -> SplitResult:
    """Return the parts of ``url``.

    Raises :class:`ConfigurationError` for what is not a URL, without quoting a password in it.
    """
    from urllib.parse import urlsplit

    scheme, separator, rest = url.partition("://")
    start = f"{scheme}{separator}..." if "@" in rest else re.split("[?#]", url)[0]
    if _INVALID.search(url):
        message = f"the URL {start!a} holds a blank or line break, or bytes that are not text"
        raise ConfigurationError(message)
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:  # its text quotes the URL
        raise ConfigurationError(f"{start!a} is not a URL") from error
    return parts
