"""publish-artifacts with moto's S3 server, also with faults in between."""

import hashlib
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from certificates import make_authority
from object_storage_server import Faulty, Storage, faulty, serving

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.steps import collect_artifacts, publish_artifacts
from stepkit.steps.publish_artifacts import Options, Outputs

PAGE = "<!doctype html><p>nächste</p>".encode()
KEYS = {"access_key_id": "an-access-key", "secret_access_key": "a-secret-access-key"}


@pytest.fixture(scope="module")
def storage() -> Iterator[Storage]:
    with serving() as storage:
        yield storage


@pytest.fixture
def bucket(storage: Storage, request: pytest.FixtureRequest) -> str:
    """Make a bucket for this test alone."""
    digest = hashlib.sha256(request.node.nodeid.encode()).hexdigest()
    return storage.bucket(f"runs-{digest[:12]}")


@pytest.fixture
def front(storage: Storage) -> Iterator[Faulty]:
    with faulty(storage) as control:
        yield control


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    directory = tmp_path / "out"
    (directory / "figures").mkdir(parents=True)
    (directory / "output_analysis.html").write_bytes(PAGE)
    (directory / "figures/umap 1&2.png").write_bytes(b"\x89PNG")
    collect_artifacts.run(collect_artifacts.Options(artifacts=directory))
    (directory / "STEP_SUMMARY.md").write_text("# passed\n")
    return directory


def publish(artifacts: Path, bucket: str, server: Storage | Faulty, **more: Any) -> Outputs:
    usual: dict[str, Any] = {"endpoint_url": server.url, "prefix": "run-7", **KEYS}
    return publish_artifacts.run(
        Options(artifacts=artifacts, destination=bucket, **{**usual, **more})
    )


def failed(artifacts: Path, bucket: str, server: Storage | Faulty, **more: Any) -> StepError:
    with pytest.raises(StepError) as caught:
        publish(artifacts, bucket, server, **more)
    return caught.value


def name(bucket: str) -> str:
    return bucket.removeprefix("s3://")


def is_there(storage: Storage, path: str) -> bool:
    try:
        storage.get(path)
    except OSError:
        return False
    return True


def test_objects_have_the_content_type_that_a_browser_needs(
    artifacts: Path, storage: Storage, bucket: str
) -> None:
    outputs = publish(artifacts, f"{bucket}/notebooks/", storage)

    below = f"{name(bucket)}/notebooks/run-7"
    content, headers = storage.get(f"{below}/output_analysis.html")
    assert content == PAGE
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["x-amz-meta-sha256"] == hashlib.sha256(PAGE).hexdigest()
    assert "content-disposition" not in headers
    summary, headers = storage.get(f"{below}/STEP_SUMMARY.md")
    assert (summary, headers["content-type"]) == (b"# passed\n", "text/markdown; charset=utf-8")
    assert storage.get(f"{below}/figures/umap%201%262.png")[1]["content-type"] == "image/png"
    manifest, headers = storage.get(f"{below}/manifest.json")
    assert (json.loads(manifest)["schema"], headers["content-type"]) == (
        "stepkit.manifest/1",
        "application/json",
    )
    assert outputs.location == f"{bucket}/notebooks/run-7"
    assert (outputs.count, outputs.sent) == (5, 5)


def test_pages_that_could_run_scripts_are_saved_when_asked(
    artifacts: Path, storage: Storage, bucket: str
) -> None:
    publish(artifacts, bucket, storage, pages="download")

    below = f"{name(bucket)}/run-7"
    assert storage.get(f"{below}/output_analysis.html")[1]["content-disposition"] == "attachment"
    assert "content-disposition" not in storage.get(f"{below}/STEP_SUMMARY.md")[1]


def test_objects_that_are_there_are_not_sent_again(
    artifacts: Path, front: Faulty, bucket: str
) -> None:
    publish(artifacts, bucket, front)
    front.writes.clear()

    outputs = publish(artifacts, bucket, front)

    assert front.writes == []
    assert (outputs.sent, outputs.unchanged) == (0, 5)


def test_the_manifest_is_written_last_of_all_objects(
    artifacts: Path, front: Faulty, bucket: str
) -> None:
    publish(artifacts, bucket, front)

    assert [path.rpartition("/")[2] for path in front.writes][-2:] == [
        "SHA256SUMS",
        "manifest.json",
    ]


def test_an_object_without_our_digest_is_read_and_compared(
    artifacts: Path, storage: Storage, bucket: str
) -> None:
    below = f"{name(bucket)}/run-7"
    storage.put(f"{below}/output_analysis.html", PAGE)
    assert publish(artifacts, bucket, storage).unchanged == 1

    storage.put(f"{below}/STEP_SUMMARY.md", b"# failed\n")
    error = failed(artifacts, bucket, storage)

    assert isinstance(error, ConfigurationError)
    assert (
        f"1 of 5 files are in {bucket}/run-7 already, with other content: STEP_SUMMARY.md"
        in str(error)
    )
    assert storage.get(f"{below}/STEP_SUMMARY.md")[0] == b"# failed\n"
    publish(artifacts, bucket, storage, overwrite=True)
    assert storage.get(f"{below}/STEP_SUMMARY.md")[0] == b"# passed\n"


@pytest.mark.slow
def test_a_large_artifact_goes_in_parts_and_is_whole(
    artifacts: Path, storage: Storage, bucket: str
) -> None:
    content = os.urandom(11 * 2**20 + 1)
    (artifacts / "data.h5ad").write_bytes(content)
    collect_artifacts.run(collect_artifacts.Options(artifacts=artifacts))

    publish(artifacts, bucket, storage)

    stored, headers = storage.get(f"{name(bucket)}/run-7/data.h5ad")
    assert stored == content
    assert headers["x-amz-meta-sha256"] == hashlib.sha256(content).hexdigest()
    assert headers["etag"].strip('"').endswith("-3")


@pytest.mark.slow
@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("fault", [503, 429, "corrupt", "lose"])
def test_a_temporary_fault_is_retried(
    artifacts: Path, storage: Storage, front: Faulty, bucket: str,
    fault: int | str,
) -> None:  # fmt: skip
    front.faults = [fault, fault]

    assert publish(artifacts, bucket, front, attempts=3).sent == 5

    assert storage.get(f"{name(bucket)}/run-7/output_analysis.html")[0] == PAGE
    assert len(front.writes) == 7


@pytest.mark.slow
@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    ("fault", "reason", "expected"),
    [
        (503, Reason.NETWORK, "HTTP 503 Simulated (by the test)"),
        ("corrupt", Reason.CHECKSUM, "reads back with another sha256 than"),
        ("lose", Reason.CHECKSUM, "is not there after"),
    ],
)
def test_a_permanent_fault_fails_the_step_without_a_manifest(
    artifacts: Path, storage: Storage, front: Faulty, bucket: str,
    fault: int | str, reason: Reason, expected: str,
) -> None:  # fmt: skip
    front.faults = ["", ""]  # two files arrive
    front.always = fault

    error = failed(artifacts, bucket, front, attempts=2)

    assert isinstance(error, ToolError)
    assert error.reason == reason
    assert expected in str(error)
    assert str(error).startswith("2 of 5 files sent, the manifest not: ")
    assert isinstance(error.outputs, Outputs)
    assert error.outputs.sent == 2
    assert len(front.writes) == 4
    assert not is_there(storage, f"{name(bucket)}/run-7/manifest.json")


@pytest.mark.parametrize(
    ("fault", "reason", "expected"),
    [
        (
            403,
            Reason.AUTH,
            "HTTP 403 Simulated (by the test): check the credentials and their rights",
        ),
        (401, Reason.AUTH, "HTTP 401"),
        (400, Reason.BAD_INPUT, "HTTP 400"),
        (404, Reason.NOT_FOUND, "HTTP 404"),
    ],
)
def test_a_refusal_is_not_retried(
    artifacts: Path, front: Faulty, bucket: str, fault: int, reason: Reason, expected: str
) -> None:
    front.always = fault

    error = failed(artifacts, bucket, front)

    assert isinstance(error, ConfigurationError)
    assert error.reason == reason
    assert expected in str(error)
    assert len(front.writes) == 1


def test_a_missing_bucket_is_named(artifacts: Path, storage: Storage) -> None:
    error = failed(artifacts, "s3://no-such-bucket", storage)

    assert isinstance(error, ConfigurationError)
    assert error.reason == Reason.NOT_FOUND
    assert "HTTP 404 NoSuchBucket" in str(error)
    assert str(error).endswith("is there a bucket no-such-bucket?")


@pytest.mark.slow
def test_a_server_that_stops_answering_fails_after_the_timeout(
    artifacts: Path, front: Faulty, bucket: str
) -> None:
    front.always = "stall"

    error = failed(artifacts, bucket, front, attempts=1, timeout=1.0)

    assert isinstance(error, ToolError)
    assert error.reason == Reason.NETWORK


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [("http://127.0.0.1:1", "Connection refused"), ("http://nowhere.invalid", "lookup address")],
)
def test_an_unreachable_server_is_retried(
    artifacts: Path, storage: Storage, caplog: pytest.LogCaptureFixture,
    endpoint: str, expected: str,
) -> None:  # fmt: skip
    error = failed(artifacts, "s3://runs", storage, endpoint_url=endpoint, attempts=2)

    assert isinstance(error, ToolError)
    assert error.reason == Reason.NETWORK
    assert expected in str(error)
    assert sum("attempt 1 failed" in message for message in caplog.messages) == 1


def test_without_the_library_it_says_how_to_get_it(
    artifacts: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)

    error = failed(artifacts, "s3://runs", storage)

    assert isinstance(error, ConfigurationError)
    assert "pip install 'stepkit[s3]'" in str(error)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"secret_access_key": None}, "belong together: one of them is empty"),
        ({"endpoint_url": "minio.example.com"}, "--endpoint-url must be https://HOST"),
        ({"endpoint_url": "https://u:word@minio"}, "--endpoint-url must be https://HOST"),
        ({"endpoint_url": "https://u:wo/rd@minio"}, "--endpoint-url must be https://HOST"),
        ({"access_key_id": "word\n"}, "AWS_ACCESS_KEY_ID holds a blank, a line break"),
        ({"secret_access_key": "word\udcff"}, "AWS_SECRET_ACCESS_KEY holds a blank, a line"),
        ({"session_token": "wo\nrd"}, "AWS_SESSION_TOKEN holds a blank, a line break"),
    ],
)
def test_wrong_access_is_refused_before_anything_is_sent(
    artifacts: Path, storage: Storage, wrong: dict[str, Any], expected: str
) -> None:
    error = failed(artifacts, "s3://runs", storage, **wrong)

    assert isinstance(error, ConfigurationError)
    assert expected in str(error)
    assert "word" not in str(error)


def test_without_keys_or_a_role_it_says_so(
    artifacts: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    none = {"access_key_id": None, "secret_access_key": None}

    error = failed(artifacts, "s3://runs", storage, **none)

    assert isinstance(error, ConfigurationError)
    assert error.reason == Reason.AUTH
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give" in str(error)


def test_without_keys_the_role_of_the_pod_is_taken(
    artifacts: Path, storage: Storage, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Roles(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
            keys = {"AccessKeyId": "ROLE", "SecretAccessKey": "s", "Token": "t"}
            body = json.dumps({**keys, "Expiration": until}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    asked: list[str] = []
    (artifacts.parent / "pod-token").write_text("token")
    with HTTPServer(("127.0.0.1", 0), Roles) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/role"
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        token = str(artifacts.parent / "pod-token")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token)
        try:
            sent = publish(
                artifacts, bucket, storage, access_key_id=None, secret_access_key=None
            ).sent
        finally:
            server.shutdown()
            thread.join()

    assert sent == 5
    assert asked[0] == "/role"


def test_a_name_that_no_object_can_have_is_refused(
    artifacts: Path, storage: Storage, bucket: str
) -> None:
    (artifacts / "two\nlines.txt").write_text("x")
    collect_artifacts.run(collect_artifacts.Options(artifacts=artifacts))

    assert isinstance(failed(artifacts, bucket, storage), ConfigurationError)


@pytest.mark.slow
def test_a_private_authority_is_trusted_when_it_is_named(
    artifacts: Path, storage: Storage, bucket: str, tmp_path: Path
) -> None:
    ca, certificate = make_authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with faulty(storage, context) as front:
        error = failed(artifacts, bucket, front)
        assert publish(artifacts, bucket, front, ca_file=ca).sent == 5

    assert isinstance(error, ConfigurationError)
    assert "certificate is not trusted: name its authority with --ca-file" in str(error)


def test_a_file_without_a_certificate_is_refused(
    artifacts: Path, storage: Storage, bucket: str
) -> None:
    error = failed(artifacts, bucket, storage, ca_file=artifacts / "SHA256SUMS")

    assert isinstance(error, ConfigurationError)
    assert "No certificates found" in str(error)


def command(artifacts: Path, bucket: str, url: str, *more: str) -> list[str]:
    flags = [f"--artifacts={artifacts}", f"--destination={bucket}", f"--endpoint-url={url}"]
    return [sys.executable, "-P", "-m", "stepkit", "publish-artifacts", *flags, *more]


@pytest.mark.slow
def test_keys_come_by_the_environment_and_are_in_no_output(
    artifacts: Path, storage: Storage, bucket: str, tmp_path: Path
) -> None:
    env = {**os.environ, "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "VerySecret"}
    report = tmp_path / "report.json"
    done = subprocess.run(
        command(artifacts, bucket, storage.url, f"--report={report}"),
        env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip

    output = done.stdout + done.stderr + report.read_text()
    assert "AKIAEXAMPLE" not in output
    assert "VerySecret" not in output
    assert f"location={bucket}" in done.stdout
    assert json.loads(report.read_text())["outputs"]["sent"] == 5


@pytest.mark.slow
def test_a_signal_ends_an_upload_at_once(artifacts: Path, front: Faulty, bucket: str) -> None:
    front.always = "stall"
    keys = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "VerySecret"}
    child = subprocess.Popen(
        command(artifacts, bucket, front.url), env={**os.environ, **keys}, stderr=subprocess.PIPE
    )
    assert front.stalled.wait(60)

    child.send_signal(signal.SIGTERM)

    _, log = child.communicate(timeout=50)  # the server stalls for longer
    assert child.returncode == 143
    assert b"stopped by SIGTERM" in log
