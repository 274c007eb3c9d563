"""Which way a request takes, which certificates it trusts, and when it is given up."""

import gc
import socket
import ssl
import threading
import time
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import waiting
from certificates import make_certificate
from data_server import dripping, serving, status

from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.http import addresses, connection
from stepkit.http.post import post


def ask(url: str, *, stall: float = waiting.SOON) -> bytes:
    """Return the body of the answer."""
    until = time.monotonic() + waiting.SOON
    with closing(connection.request("GET", url, {}, stall=stall, until=until)) as answer:
        return b"".join(answer.chunks())


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
DRIPS = {
    "status line": (b"HTTP/1.1 200 ", b"a"),
    "header": (b"HTTP/1.1 200 OK\r\nX: ", b"a"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X: a\r\n"),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "length of a chunk": (CHUNKED + b"4;x=", b"a"),
    "trailer": (CHUNKED + b"4\r\ndata\r\n0\r\n", b"X: a\r\n"),
}


@pytest.mark.parametrize("part", DRIPS)
def test_a_server_that_drips_is_given_up_whatever_it_sends(part: str) -> None:
    with dripping(*DRIPS[part]) as (url, gone):
        with pytest.raises(ToolError) as caught:
            ask(url, stall=0.2)
        assert gone.wait(waiting.SOON)  # the connection does not outlive the request

    assert caught.value.reason is Reason.NETWORK
    assert str(caught.value) == f"{url}: no answer within 0.2 s"


# Python forgets to close a socket that is cut while it begins TLS.
@pytest.mark.filterwarnings("ignore:Exception ignored in.*SSLSocket")
def test_a_proxy_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set(threading.enumerate())
    with dripping(*DRIPS["headers"]) as (url, gone):
        monkeypatch.setenv("https_proxy", url)
        with pytest.raises(ToolError) as caught:
            ask("https://example.org", stall=0.2)
        assert gone.wait(waiting.SOON)

    assert str(caught.value) == "https://example.org: no answer within 0.2 s"
    waiting.until(lambda: set(threading.enumerate()) <= threads)
    gc.collect()


def test_a_post_has_one_time_limit() -> None:
    with dripping(*DRIPS["header"]) as (url, gone):
        with pytest.raises(ToolError) as caught:
            post(f"{url}/secret", {}, name="hook", timeout=0.2)
        assert gone.wait(waiting.SOON)

    assert caught.value.reason is Reason.NETWORK
    assert str(caught.value) == "hook: no answer within 0.2 s"


def test_a_name_that_is_found_too_late_gets_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    found, look_up = threading.Event(), socket.getaddrinfo

    def late(*args: Any, **more: Any) -> Any:
        found.wait()
        return look_up(*args, **more)

    threads = set(threading.enumerate())
    with serving(b"") as server:
        monkeypatch.setattr(socket, "getaddrinfo", late)  # a name server that takes its time
        with pytest.raises(ToolError, match=r"no answer within 0.2 s"):
            ask(server.url, stall=0.2)
        found.set()
        waiting.until(lambda: len(set(threading.enumerate()) - threads) == 1)  # the server's

    assert server.paths == []


def test_a_name_that_leads_to_a_metadata_server_gets_no_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(b"credentials") as server:
        monkeypatch.setattr(addresses, "_ADDRESSES", {ip_address("127.0.0.1")})
        with pytest.raises(ConfigurationError) as caught:
            ask(server.url.replace("127.0.0.1", "localhost"))

    assert server.paths == []
    assert "leads to 127.0.0.1, which is an address of the machine's own network" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("no_proxy", "asked"),
    [("", False), ("example.org", False), ("127.0.0.1", True), ("10.0.0.0/8,127.0.0.0/8", True)],
)
def test_no_proxy_names_hosts_and_networks_that_are_asked_directly(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, *, asked: bool
) -> None:
    with serving(b"direct") as server, serving(b"by proxy") as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", no_proxy)

        assert ask(f"{server.url}/file") == (b"direct" if asked else b"by proxy")
    assert (len(server.paths), len(proxy.paths)) == ((1, 0) if asked else (0, 1))


def test_a_post_trusts_the_authorities_of_requests_ca_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path / "certificate.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with serving(b"", tls=tls) as server:
        server.always = status(200)
        with pytest.raises(ConfigurationError) as caught:
            post(f"{server.url}/secret", {}, name="hook", timeout=10)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        post(f"{server.url}/secret", {}, name="hook", timeout=10)

    assert caught.value.reason == Reason.NETWORK
    untrusted = "the server's certificate is not trusted: name its authority in SSL_CERT_FILE"
    assert str(caught.value) == f"hook: {untrusted}"
