"""Which way a request takes, and which certificates it trusts."""

import ssl
from pathlib import Path

import pytest
from certificates import make_certificate
from data_server import serving, status

from stepkit.errors import ConfigurationError, Reason
from stepkit.http import connection
from stepkit.http.post import post


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

        answer = connection.request("GET", f"{server.url}/file", {}, timeout=10)

        assert b"".join(answer.chunks()) == (b"direct" if asked else b"by proxy")
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
