"""Redirects, mirrors, proxies, certificates, and which server gets the token."""

import logging
import ssl
from pathlib import Path
from typing import Any

import pytest
from certificates import make_certificate
from data_server import Reply, cut, flip, serving, status
from download_places import CONTENT, SHA256, Place

from stepkit.errors import ConfigurationError, Reason, ToolError

pytestmark = pytest.mark.usefixtures("no_waiting")


def test_a_redirect_is_followed(place: Place) -> None:
    with serving(b"") as first:
        first.always = status(302, Location=f"{place.server.url}/there")
        place.run({"url": f"{first.url}/census.bin", "sha256": SHA256})

    assert place.server.paths == ["/there"]
    assert place.file.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("file:///etc/passwd", "is not an https:// or http:// address"),
        ("http://169.254.169.254/latest/meta-data", "where clouds keep credentials"),
        ("http://user:secret@127.0.0.1/x", "holds a user name or password"),
        ("http://127.0.0.1:x/", "is not a URL"),
    ],
)
def test_a_redirect_to_a_forbidden_address_is_refused(
    place: Place, location: str, said: str
) -> None:
    place.server.always = status(302, Location=location)

    message = place.refused()

    assert said in message
    assert "secret" not in message


def test_the_token_is_sent_to_its_own_origin_alone(place: Place) -> None:
    with serving(b"") as first:
        entry: dict[str, Any] = {"url": f"{first.url}/census.bin", "sha256": SHA256}
        entry["auth"], entry["mirrors"] = "DATASET_TOKEN", [f"{place.server.url}/mirror"]
        first.faults = [status(307, Location="/other"), status(500)]
        first.always = status(302, Location=f"{place.server.url}/away")
        place.server.faults = [status(500)]
        place.run(entry, token="topsecret")

    sent = [request.get("Authorization") for request in first.requests]
    assert sent == ["Bearer topsecret"] * 3
    assert place.server.paths == ["/mirror", "/away"]
    assert not any("Authorization" in request for request in place.server.requests)


def test_a_token_may_be_a_file_of_a_mounted_secret(place: Place, tmp_path: Path) -> None:
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens/lab").write_text("fromfile\n")
    entry = place.entry(sha256=SHA256, auth="lab")

    place.run(entry, tokens=tmp_path / "tokens", token_origins=(place.server.url,))

    assert place.server.requests[0]["Authorization"] == "Bearer fromfile"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"token": None}, "there is no token DATASET_TOKEN"),
        ({"token": "a\nb"}, "a line break"),
        ({"token": "abcd", "token_origins": ("https://example.org",)}, "may not get a token"),
    ],
)
def test_a_token_that_cannot_be_sent_fails_before_any_request(
    place: Place, given: dict[str, Any], said: str
) -> None:
    entry = {"url": f"{place.server.url}/x", "sha256": SHA256, "auth": "DATASET_TOKEN"}

    error = place.failed(entry, **given)

    assert (type(error), error.reason) == (ConfigurationError, Reason.AUTH)
    assert said in str(error)
    assert place.server.requests == []


def test_a_signature_in_a_url_is_in_no_output(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "stepkit")
    entry = {"url": f"{place.server.url}/census.bin?X-Amz-Signature=0123abcd", "sha256": SHA256}
    place.server.faults = [cut(), status(503)]

    outputs = place.run(entry)
    place.server.always = status(403)
    error = place.failed({**entry, "sha256": "0" * 64})

    assert "0123abcd" in place.server.paths[0]
    sidecars = [path.read_text() for path in place.cache.glob("*.json")]
    for text in (caplog.text, str(outputs), str(error), *sidecars):
        assert "0123abcd" not in text
    assert f"{place.server.url}/census.bin?..." in caplog.text


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return make_certificate(tmp_path / "certificate.pem")


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("text/plain", b"accept the licence\n\x1b[2J", ["accept the licence", r"\x1b[2J"]),
        ("application/problem+json", b'{"detail": "no quota"}', ['{"detail": "no quota"}']),
        (
            "application/xml",
            b"<Error><Code>Expired</Code><Message>too old</Message><Sign>s3cret</Sign></Error>",
            ["Code: Expired", "Message: too old"],
        ),
        ("text/html", b"<h1>Forbidden</h1>", None),
        ("text/plain", b"x" * 100_000, ["x" * 497 + "..."]),
        ("text/plain", b"", None),
    ],
)  # fmt: skip
def test_what_the_server_says_of_a_refusal_is_evidence_and_in_the_log(
    place: Place,
    kind: str,
    body: bytes,
    said: list[str] | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    place.server.always = lambda _: Reply(status=403, body=body).having(Content_Type=kind)

    error = place.failed()

    assert "HTTP 403" in str(error)
    assert (list(error.evidence.output) if error.evidence else None) == said
    assert all(f"server: {line}" in caplog.messages for line in said or ())
    assert not place.file.exists()


def test_a_server_that_holds_back_the_body_of_a_refusal_is_not_waited_for(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepkit.http.get._BODY_SECONDS", 0.1)
    place.server.always = lambda _: Reply(status=403, body=b"x", hangs=True, cut=0).having(
        Content_Type="text/plain"
    )

    error = place.failed(stall_timeout=3600.0)

    assert error.reason is Reason.AUTH
    assert error.evidence is None


def test_a_certificate_is_checked_and_a_redirect_to_http_refused(
    place: Place, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with serving(CONTENT, tls=tls) as secure:
        entry = {"url": f"{secure.url}/census.bin", "sha256": SHA256}
        unknown = place.failed(entry)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        place.run(entry)
        secure.always = status(302, Location=f"{place.server.url}/census.bin")
        downgraded = place.failed({**entry, "sha256": "0" * 64})

    assert isinstance(unknown, ConfigurationError)
    assert "name its authority in SSL_CERT_FILE" in str(unknown)
    assert place.file.read_bytes() == CONTENT
    assert isinstance(downgraded, ConfigurationError)
    assert "which is not encrypted" in str(downgraded)
    assert place.server.requests == []


@pytest.mark.parametrize("direction", ["proxy", "server"])
def test_a_closed_port_is_a_network_error(
    place: Place, monkeypatch: pytest.MonkeyPatch, direction: str
) -> None:
    url = "http://127.0.0.1:9/census.bin"
    if direction == "proxy":
        monkeypatch.setenv("http_proxy", "http://user:secret@127.0.0.1:9")
        url = "http://stepkit.invalid/census.bin"

    error = place.failed({"url": url, "sha256": SHA256}, attempts=2)

    assert (type(error), error.reason) == (ToolError, Reason.NETWORK)
    assert "secret" not in str(error)


def test_a_proxy_gets_the_request(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", place.server.url)
    monkeypatch.delenv("no_proxy", raising=False)

    place.run({"url": "http://stepkit.invalid/census.bin", "sha256": SHA256})

    assert place.server.paths == ["http://stepkit.invalid/census.bin"]


def test_a_mirror_is_used_when_the_first_server_fails(place: Place) -> None:
    with serving(CONTENT) as first:
        for fault, requests in ((status(404), 1), (flip, 1), (cut(), 1)):
            first.always = fault
            first.requests.clear()
            entry = {
                "url": f"{first.url}/census.bin",
                "sha256": SHA256,
                "mirrors": [f"{place.server.url}/elsewhere"],
            }
            place.cached.unlink(missing_ok=True)
            place.file.unlink(missing_ok=True)
            place.run(entry)
            assert place.file.read_bytes() == CONTENT
            assert len(first.requests) == requests
    assert place.server.ranges == [None, None, "bytes=100000-"]
    assert "If-Range" not in place.server.requests[-1]  # a validator is one server's own
