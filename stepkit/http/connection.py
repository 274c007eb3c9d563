"""One HTTP request through urllib3: its proxy, its certificates, its time limit, its failures."""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.http import safe_urls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import urllib3

_LONGEST_CONNECT: Final = 30.0  # seconds
_CHUNK: Final = 2**20  # bytes, at most: what has arrived is returned at once
_REPR: Final = re.compile(r"^<?\w*Connection(Pool)?\(.*?\)>?: ")  # of the object that failed


class Answer:
    """What a server answered: ``status``, headers, and its body in pieces."""

    def __init__(self, response: urllib3.BaseHTTPResponse, url: str, timeout: float) -> None:
        self._response = response
        self._timeout = timeout
        self.url = url
        self.status = response.status

    def header(self, name: str) -> str:
        """Return a header, ``""`` where there is none."""
        return self._response.headers.get(name) or ""

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it arrives. Raises :class:`ToolError` when the connection breaks."""
        with _explaining(safe_urls.masked(self.url), self._timeout, quoting=True):
            while chunk := self._response.read1(_CHUNK):
                yield chunk

    def close(self) -> None:
        """Close the connection, at once."""
        self._response.close()


def request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    *,
    timeout: float,
    name: str = "",
    body: bytes | None = None,
    certificates: Path | None = None,
) -> Answer:
    """Send one request and return the answer, redirects included.

    ``timeout`` is how many seconds may pass without anything from the server. ``certificates`` is
    a file or directory of trusted authorities, instead of the system's or ``SSL_CERT_FILE``. A
    ``name`` stands for a secret URL in messages, which then quote nothing that may hold it.

    Raises :class:`ToolError` when the server cannot be reached, and :class:`ConfigurationError`
    when the URL, the proxy or the certificates are wrong.
    """
    import urllib3

    with _explaining(name or safe_urls.masked(url), timeout, quoting=not name):
        target = urllib3.util.parse_url(url)._replace(auth=None)  # a proxy would see it
        response = _pool(target, certificates).request(
            method,
            target.url,
            body=body,
            headers={"Accept-Encoding": "identity", "User-Agent": "stepkit", **headers},
            timeout=urllib3.Timeout(connect=min(timeout, _LONGEST_CONNECT), read=timeout),
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
    return Answer(response, url, timeout)


def _pool(url: urllib3.util.Url, certificates: Path | None) -> urllib3.PoolManager:
    """Return connections to a server, through the proxy that the environment names for it."""
    from base64 import b64encode
    from urllib.parse import unquote_to_bytes
    from urllib.request import getproxies_environment

    import urllib3

    if url.scheme not in {"http", "https"} or not url.host:
        raise urllib3.exceptions.LocationValueError
    trusted: dict[str, Any] = {}
    if certificates:
        trusted = {"ca_cert_dir" if certificates.is_dir() else "ca_certs": str(certificates)}
    proxies = getproxies_environment()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or _bypasses_proxy(url, proxies.get("no", "")):
        return urllib3.PoolManager(**trusted)
    try:
        parts = safe_urls.split(proxy if "://" in proxy else f"http://{proxy}")
    except ConfigurationError as error:
        raise ConfigurationError(f"the proxy that the environment names: {error}") from error
    user = unquote_to_bytes(f"{parts.username}:{parts.password or ''}") if parts.username else b""
    return urllib3.ProxyManager(
        f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        proxy_headers={"Proxy-Authorization": f"Basic {b64encode(user).decode()}"} if user else {},
        **trusted,
    )


def _bypasses_proxy(url: urllib3.util.Url, no_proxy: str) -> bool:
    """Whether ``no_proxy`` names the host: by name, or as part of a network like 10.0.0.0/8."""
    from ipaddress import ip_address, ip_network
    from urllib.request import proxy_bypass

    if proxy_bypass(url.netloc or ""):
        return True
    for entry in no_proxy.split(","):
        with suppress(ValueError):  # most entries, and most hosts, are names
            if ip_address((url.host or "").strip("[]")) in ip_network(entry.strip(), strict=False):
                return True
    return False


@contextmanager
def _explaining(where: str, timeout: float, *, quoting: bool) -> Iterator[None]:
    """Turn urllib3's errors into a :class:`StepError` that begins with ``where``.

    Without ``quoting`` it says nothing of the error but its kind: a text may hold a secret URL.
    """
    import http.client

    from urllib3 import exceptions

    try:
        yield
    except exceptions.ProxySchemeUnknown as error:
        raise ConfigurationError(f"{where}: {error}") from error
    except exceptions.LocationValueError:
        message = f"{where}: this is not an https:// or http:// address"
        raise ConfigurationError(message) from None
    except (exceptions.HTTPError, http.client.HTTPException, ValueError) as error:
        text = str(error.args[0]) if len(error.args) > 1 else str(error)
        text = " ".join(_REPR.sub("", text).split())[:300] or type(error).__name__
        refused = isinstance(error, exceptions.NewConnectionError)  # a subclass of the time-out
        certificate = "CERTIFICATE_VERIFY_FAILED" in text
        if isinstance(error, exceptions.TimeoutError) and not refused:
            text = f"no answer within {timeout:g} s"
        elif certificate or (isinstance(error, exceptions.SSLError) and not quoting):
            detail = f" ({text})" if quoting else ""
            raise ConfigurationError(
                f"{where}: the server's certificate is not trusted{detail}: name its authority in "
                "SSL_CERT_FILE",
                reason=Reason.NETWORK,
            ) from None
        elif not quoting:
            text = f"no connection ({type(error).__name__})"
        raise ToolError(f"{where}: {text}", reason=Reason.NETWORK) from None
