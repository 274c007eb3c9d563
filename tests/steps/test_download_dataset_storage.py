"""Datasets in object storage: s3:// with moto's server, gs:// with a server of one file.

obstore speaks the XML API of Google's storage; what it needs of that is a file with an ETag and
ranges. obstore, which signs and asks, is the real one.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import waiting
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from data_server import Reply, cut, status
from download_places import CONTENT, SHA256, Place
from object_storage_server import Storage, serving

from stepkit import redaction
from stepkit.errors import ConfigurationError, Reason, ToolError

pytestmark = pytest.mark.usefixtures("no_waiting")

KEYS = {"access_key_id": "an-access-key", "secret_access_key": "a-secret-access-key"}
DENIED = Reply(status=403, body=b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")


@pytest.fixture(scope="module")
def storage() -> Iterator[Storage]:
    with serving() as storage:
        storage.bucket("atlas")
        storage.put("atlas/h5/census.bin", CONTENT)
        yield storage


def s3(storage: Storage) -> dict[str, Any]:
    return {"endpoint_url": storage.url, **KEYS}


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture
def google(place: Place, private_key: str) -> dict[str, Any]:
    """The key of a service account whose server is the test's own."""
    place.server.headers = {"Last-Modified": "Mon, 30 Nov 2026 08:00:00 GMT"}
    key = {
        "type": "service_account",
        "client_email": "reader@example.iam.gserviceaccount.com",
        "private_key_id": "1",
        "private_key": private_key,
        "gcs_base_url": place.server.url,
        "disable_oauth": False,
    }
    return {"google_key": json.dumps(key)}


S3_ENTRY = {"url": "s3://atlas/h5/census.bin", "sha256": SHA256}
GS_ENTRY = {"url": "gs://atlas_1/h5/census.bin", "sha256": SHA256}


def test_an_object_is_downloaded_verified_and_cached(place: Place, storage: Storage) -> None:
    outputs = place.run(S3_ENTRY, **s3(storage))

    assert place.file.read_bytes() == CONTENT
    assert outputs.datasets[0].url == "s3://atlas/h5/census.bin"
    assert place.left() == ["KEY", "KEY.json", "census.bin"]
    assert (
        json.loads(place.cached.with_name(f"{SHA256}.json").read_text())["url"] == S3_ENTRY["url"]
    )
    place.file.unlink()
    assert place.run(S3_ENTRY, **s3(storage)).datasets[0].came == "cache"


def test_an_object_without_a_checksum_is_asked_for_again_and_not_sent(
    place: Place, storage: Storage
) -> None:
    entry = {"url": S3_ENTRY["url"]}
    assert place.run(entry, **s3(storage)).downloaded == len(CONTENT)

    assert place.run(entry, **s3(storage)).downloaded == 0


@pytest.mark.parametrize(("begun", "downloaded"), [(100_000, 200_000), (400_000, 300_000)])
def test_the_rest_of_an_object_is_downloaded_and_all_of_it_where_too_much_is_there(
    place: Place, storage: Storage, begun: int, downloaded: int
) -> None:
    place.begun((CONTENT * 2)[:begun], etag="", total=None)

    outputs = place.run(S3_ENTRY, **s3(storage))

    assert outputs.downloaded == downloaded
    assert place.file.read_bytes() == CONTENT


def test_a_key_that_is_not_there_and_a_bucket_that_is_not_there_are_named(
    place: Place, storage: Storage
) -> None:
    error = place.failed({"url": "s3://atlas/x"}, **s3(storage))
    assert (type(error), error.reason) == (ConfigurationError, Reason.NOT_FOUND)
    assert str(error).startswith("x: cannot read s3://atlas/x: HTTP 404 NoSuchKey")
    assert str(error).endswith(": check the key")

    error = place.failed({"url": "s3://elsewhere/x"}, **s3(storage))
    assert (type(error), error.reason) == (ConfigurationError, Reason.NOT_FOUND)
    assert str(error).endswith("is there a bucket elsewhere?")
    assert place.left() == []


def test_a_mirror_may_be_in_object_storage(place: Place, storage: Storage) -> None:
    place.server.always = status(404)

    outputs = place.run(place.entry(sha256=SHA256, mirrors=[S3_ENTRY["url"]]), **s3(storage))

    assert outputs.datasets[0].came == "downloaded"


@pytest.mark.parametrize("entry", [S3_ENTRY, GS_ENTRY], ids=["s3", "gs"])
def test_without_the_library_it_says_how_to_get_it(
    place: Place, monkeypatch: pytest.MonkeyPatch, entry: dict[str, Any]
) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)

    assert "needs the package obstore, which is not installed here: pip install 'stepkit[s3]'" in (
        place.refused(entry)
    )


def test_an_object_of_google_is_asked_for_with_a_signed_token(
    place: Place, google: dict[str, Any], private_key: str
) -> None:
    place.run(GS_ENTRY, **google)

    assert place.file.read_bytes() == CONTENT
    (request,) = place.server.requests
    assert request["authorization"].startswith("Bearer eyJ")
    assert redaction.redact(private_key) == "***"


def test_a_public_bucket_is_read_without_credentials(place: Place, google: dict[str, Any]) -> None:
    options = {"endpoint_url": place.server.url, **KEYS, **google}

    place.run({**GS_ENTRY, "auth": "anonymous"}, **options)
    place.file.unlink()
    place.cached.unlink()
    place.run({**S3_ENTRY, "auth": "anonymous"}, **options)

    assert len(place.server.requests) == 2
    for request in place.server.requests:
        assert "authorization" not in request


def test_a_download_that_breaks_goes_on_where_it_stopped(
    place: Place, google: dict[str, Any]
) -> None:
    place.server.faults = [cut(2)]

    outputs = place.run(GS_ENTRY, **google)

    assert place.file.read_bytes() == CONTENT
    whole, rest = place.server.requests
    assert "range" not in whole
    assert rest["range"].startswith("bytes=")
    assert rest["if-match"] == '"v1"'
    assert outputs.downloaded == len(CONTENT)


def test_an_object_that_changed_meanwhile_is_downloaded_from_its_beginning(
    place: Place, google: dict[str, Any]
) -> None:
    place.server.faults = [cut(2), status(412)]

    place.run({"url": GS_ENTRY["url"], "path": "census.bin"}, **google)

    assert place.file.read_bytes() == CONTENT
    assert "range" not in place.server.requests[2]


def test_a_denied_bucket_says_what_to_do(place: Place, google: dict[str, Any]) -> None:
    place.server.always = lambda _: DENIED

    error = place.failed(GS_ENTRY, **google)

    assert (type(error), error.reason) == (ConfigurationError, Reason.AUTH)
    assert "cannot read gs://atlas_1/h5/census.bin: HTTP 403 AccessDenied (no): " in str(error)
    assert str(error).endswith(
        "check the credentials and their rights to read it; auth: anonymous reads a public bucket"
    )
    assert place.left() == []


def test_without_credentials_it_says_where_they_come_from(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")

    error = place.failed(S3_ENTRY)

    assert (type(error), error.reason) == (ConfigurationError, Reason.AUTH)
    assert "there are no credentials: set AWS_ACCESS_KEY_ID and" in str(error)
    assert str(error).endswith("auth: anonymous reads a public bucket")


@pytest.mark.parametrize("key", ["hunter2", '{"private": "hunter2"}', '["hunter2"]'])
def test_a_wrong_key_of_google_is_refused_and_not_shown(place: Place, key: str) -> None:
    error = place.failed(GS_ENTRY, google_key=key)

    assert (type(error), error.reason) == (ConfigurationError, Reason.AUTH)
    assert "GOOGLE_SERVICE_ACCOUNT_KEY is not the key of a service account" in str(error)
    assert "hunter2" not in str(error)


def test_a_server_that_fails_is_asked_again(place: Place, google: dict[str, Any]) -> None:
    place.server.always = status(503)

    error = place.failed(GS_ENTRY, attempts=2, **google)

    assert (type(error), error.reason) == (ToolError, Reason.NETWORK)
    assert "HTTP 503" in str(error)
    assert len(place.server.requests) == 2


@pytest.mark.slow
def test_a_server_that_stops_sending_is_left(place: Place, google: dict[str, Any]) -> None:
    def hang(reply: Reply) -> Reply:
        return replace(reply, cut=len(CONTENT) // 2, hangs=True)

    place.server.faults = [hang]

    place.run(GS_ENTRY, stall_timeout=1.0, **google)

    assert place.file.read_bytes() == CONTENT
    assert len(place.server.requests) == 2


@pytest.mark.slow
def test_a_signal_ends_a_download_at_once_and_the_key_is_in_no_output(
    place: Place, google: dict[str, Any], private_key: str
) -> None:
    def hang(reply: Reply) -> Reply:
        return replace(reply, cut=len(CONTENT) // 2, hangs=True)

    place.server.faults = [hang]
    report = place.manifest.with_name("report.json")
    flags = [f"--url={GS_ENTRY['url']}", f"--sha256={SHA256}", f"--directory={place.directory}"]
    flags += [f"--cache={place.cache}", f"--report={report}", "--stall-timeout=10m", "--verbose"]
    env = {**os.environ, "GOOGLE_SERVICE_ACCOUNT_KEY": google["google_key"]}
    command = [sys.executable, "-P", "-m", "stepkit", "download-dataset", *flags]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as child:
        waiting.until(lambda: place.part.exists() and place.part.stat().st_size > 0)
        child.terminate()
        _, log = child.communicate(timeout=waiting.SOON)

    assert child.returncode == 143
    assert not place.file.exists()
    secret = private_key.splitlines()[1]
    assert secret not in log + report.read_text()
    place.run(GS_ENTRY, **google)
    assert place.server.requests[1]["range"].startswith("bytes=")
    assert place.file.read_bytes() == CONTENT
