"""One HTTP request through urllib3: its proxy, its certificates, its time limit, its failures."""

from __future__ import annotations

import re
import socket
import ssl
import time
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any, Final, TypeVar

from stepkit import redaction
from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.formats.shorten import shorten
from stepkit.http import addresses, safe_urls
from stepkit.system.time_limit import Caller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import urllib3
    from urllib3.connection import HTTPConnection

T = TypeVar("T")

_LONGEST_CONNECT: Final = 30.0  # seconds
_CHUNK: Final = 2**20  # bytes, at most: what has arrived is returned at once
_BEGINNING: Final = 2**16  # bytes
_REPR: Final = re.compile(r"^<?\w*Connection(Pool)?\(.*?\)>?: ")  # of the object that failed


class _Link:
    """The connection of one request, and how long the server may take.

    ``stall`` is in seconds, for each piece of what the server sends; ``until`` is a time of
    :func:`time.monotonic`, for all of it. Every wait is limited, whatever it is for: a name, a
    connection, a proxy, TLS, headers that come byte by byte, the length of a chunk.
    """

    def __init__(self, where: str, stall: float, until: float) -> None:
        self.where, self.stall, self.until = where, stall, until
        self._caller = Caller()
        self._connections: list[HTTPConnection] = []
        self._sockets: list[socket.socket] = []
        self._is_cut = False

    def wait_for(self, function: Callable[[], T]) -> T:
        """Return what ``function``, which uses the connection, returns.

        Raises :class:`TimeoutError` when the server takes too long; that cuts the connection.
        """
        try:
            return self._caller.call(function, min(self.stall, self.until - time.monotonic()))
        except BaseException:  # a signal too
            self.cut()
            raise

    def cut(self) -> None:
        """End the connection, and with it whatever still waits for the server."""
        self._is_cut = True
        self._caller.end()
        # A connection forgets its socket once the head of the last answer is there.
        for end in (*self._sockets, *(connection.sock for connection in self._connections)):
            with suppress(OSError, AttributeError):  # it is closed, or not made yet
                end.shutdown(socket.SHUT_RDWR)
        self._connections.clear()
        self._sockets.clear()

    def watch(self, pool: urllib3.HTTPConnectionPool) -> None:
        """Let the connections of ``pool`` be cut, and refuse those to a metadata server."""
        link = self

        class Connection(pool.ConnectionCls):  # type: ignore[name-defined, misc]
            response_class = _FinalResponse

            def connect(self) -> None:
                link._connections.append(self)
                super().connect()
                link._sockets.append(self.sock)
                if link._is_cut:  # nothing is sent once the caller has gone
                    raise TimeoutError
                if not self.proxy:
                    peer = self.sock.getpeername()[0]
                    addresses.check(peer, f"{link.where} leads to {peer}, which")

        pool.ConnectionCls = Connection


class _FinalResponse(HTTPResponse):
    """A response without those before it: of the informational ones, Python skips 100 alone."""

    def begin(self) -> None:
        super().begin()
        while self.status in {HTTPStatus.PROCESSING, HTTPStatus.EARLY_HINTS}:
            self.headers = None  # type: ignore[assignment]  # else nothing more is read
            super().begin()


class Answer:
    """What a server answered: ``status``, headers, and its body in pieces."""

    def __init__(self, response: urllib3.BaseHTTPResponse, url: str, link: _Link) -> None:
        self._response = response
        self._link = link
        self.url = url
        self.status = response.status

    def header(self, name: str) -> str:
        """Return a header, ``""`` where there is none."""
        return self._response.headers.get(name) or ""

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it arrives. Raises :class:`ToolError` when the connection breaks."""
        with _explaining(safe_urls.masked(self.url), self._link.stall, quoting=True):
            while chunk := self._link.wait_for(lambda: self._response.read1(_CHUNK)):
                yield chunk

    def beginning(self, *, seconds: float) -> bytes:
        """Return what comes of the body, up to 64 KiB, b"" if none does within ``seconds``.

        Its first piece may end anywhere, such as in a secret: the rest gets one second more.
        """
        self._link.stall = min(self._link.stall, seconds)
        found = b""
        with suppress(StepError):
            for chunk in self.chunks():
                found += chunk
                if len(found) >= _BEGINNING:
                    break
                self._link.until = min(self._link.until, time.monotonic() + 1)
        return found

    def close(self) -> None:
        """Close the connection, at once."""
        self._link.cut()
        self._response.close()


def request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    *,
    stall: float,
    until: float,
    name: str = "",
    body: bytes | None = None,
    certificates: Path | None = None,
) -> Answer:
    """Send one request and return the answer; a redirect is an answer.

    ``stall`` is how many seconds the server may take for the head of its answer, and then for each
    piece of the body; ``until``, a time of :func:`time.monotonic`, ends them all. ``certificates``
    is a file or directory of trusted authorities, instead of the system's or ``SSL_CERT_FILE``. A
    ``name`` stands for a secret URL in messages, which then quote nothing that may hold it.

    Raises :class:`ToolError` when the server cannot be reached or takes too long, and
    :class:`ConfigurationError` when the URL, the proxy or the certificates are wrong.
    """
    import urllib3

    redaction.register_url(url)
    where = name or safe_urls.masked(url)
    with _explaining(where, stall, quoting=not name):
        target = urllib3.util.parse_url(url)._replace(auth=None)  # a proxy would see it
        manager, link = _pool(target, certificates), _Link(where, stall, until)
        link.watch(manager.connection_from_url(target.url))
        response = link.wait_for(
            lambda: manager.request(
                method,
                target.url,
                body=body,
                headers={"Accept-Encoding": "identity", "User-Agent": "stepkit", **headers},
                timeout=urllib3.Timeout(connect=min(stall, _LONGEST_CONNECT), read=stall),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        )
    return Answer(response, url, link)


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
        # Authorities of clusters and companies often lack what Python 3.13 asks of a certificate.
        context = urllib3.util.create_urllib3_context()
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        place = "ca_cert_dir" if certificates.is_dir() else "ca_certs"
        trusted = {"ssl_context": context, place: str(certificates)}
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
    except TimeoutError:
        raise ToolError(f"{where}: no answer within {timeout:g} s", reason=Reason.NETWORK) from None
    except (exceptions.HTTPError, http.client.HTTPException, ValueError) as error:
        text = str(error.args[0]) if len(error.args) > 1 else str(error)
        text = shorten(" ".join(_REPR.sub("", text).split()), 300) or type(error).__name__
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
