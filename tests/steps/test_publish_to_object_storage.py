"""publish-artifacts with moto's S3 server, also with faults in between."""

import hashlib
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import commands
import loopback
import pytest
from certificates import make_authority
from object_storage_server import Faulty, Storage, faulty, serving

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.steps import collect_artifacts, publish_artifacts
from stepkit.steps.publish_artifacts import Options, Outputs

PAGE = "<!doctype html><p>nächste</p>".encode()
KEYS = {"access_key_id": "an-access-key", "secret_access_key": "a-secret-access-key"}
NO_KEYS = dict.fromkeys(KEYS)


@pytest.fixture(scope="module")
def storage() -> Iterator[Storage]:
    with serving() as storage:
        yield storage


@pytest.fixture
def front(storage: Storage) -> Iterator[Faulty]:
    with faulty(storage) as control:
        yield control


@dataclass(frozen=True)
class Site:
    """Collected artifacts with a later summary, and the bucket that they are published to."""

    artifacts: Path
    storage: Storage
    bucket: str

    def publish(self, server: Storage | Faulty | None = None, **more: Any) -> Outputs:
        url = (server or self.storage).url
        usual = {"artifacts": self.artifacts, "destination": self.bucket, "prefix": "run-7"}
        return publish_artifacts.run(Options(**{**usual, **KEYS, "endpoint_url": url, **more}))

    def failed(self, server: Storage | Faulty | None = None, **more: Any) -> StepError:
        with pytest.raises(StepError) as caught:
            self.publish(server, **more)
        return caught.value

    def refused(
        self, server: Storage | Faulty | None = None, reason: Reason | None = None, **more: Any
    ) -> str:
        """Return the message of a publication that is refused with a ConfigurationError."""
        error = self.failed(server, **more)
        assert isinstance(error, ConfigurationError)
        assert reason in {None, error.reason}
        return str(error)

    def path(self, name: str) -> str:
        """Return the path in the storage of the object ``name`` of the run."""
        return f"{self.bucket.removeprefix('s3://')}/run-7/{name}"

    def get(self, name: str) -> tuple[bytes, dict[str, str]]:
        """Return the content and the headers of a published object."""
        return self.storage.get(self.path(name))

    def collect(self, name: str, content: bytes) -> None:
        """Add a file to the artifacts and to their manifest."""
        (self.artifacts / name).write_bytes(content)
        collect_artifacts.run(collect_artifacts.Options(artifacts=self.artifacts))


@pytest.fixture
def site(tmp_path: Path, storage: Storage, request: pytest.FixtureRequest) -> Site:
    digest = hashlib.sha256(request.node.nodeid.encode()).hexdigest()
    site = Site(tmp_path / "out", storage, storage.bucket(f"runs-{digest[:12]}"))
    (site.artifacts / "figures").mkdir(parents=True)
    (site.artifacts / "output_analysis.html").write_bytes(PAGE)
    site.collect("figures/umap 1&2.png", b"\x89PNG")
    (site.artifacts / "STEP_SUMMARY.md").write_text("# passed\n")
    return site


def test_objects_have_the_content_type_that_a_browser_needs(site: Site) -> None:
    inner = replace(site, bucket=f"{site.bucket}/notebooks")
    outputs = inner.publish(destination=f"{inner.bucket}/")

    content, headers = inner.get("output_analysis.html")
    assert content == PAGE
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["x-amz-meta-sha256"] == hashlib.sha256(PAGE).hexdigest()
    assert "content-disposition" not in headers
    summary, headers = inner.get("STEP_SUMMARY.md")
    assert (summary, headers["content-type"]) == (b"# passed\n", "text/markdown; charset=utf-8")
    assert inner.get("figures/umap%201%262.png")[1]["content-type"] == "image/png"
    manifest, headers = inner.get("manifest.json")
    assert json.loads(manifest)["schema"] == "stepkit.manifest/1"
    assert headers["content-type"] == "application/json"
    assert outputs.location == f"{inner.bucket}/run-7"
    assert (outputs.count, outputs.sent) == (5, 5)


def test_pages_that_could_run_scripts_are_saved_when_asked(site: Site) -> None:
    site.publish(pages="download")

    assert site.get("output_analysis.html")[1]["content-disposition"] == "attachment"
    assert "content-disposition" not in site.get("STEP_SUMMARY.md")[1]


def test_objects_that_are_there_are_not_sent_again(site: Site, front: Faulty) -> None:
    site.publish(front)
    front.writes.clear()

    outputs = site.publish(front)

    assert front.writes == []
    assert (outputs.sent, outputs.unchanged) == (0, 5)


def test_the_manifest_is_written_last_of_all_objects(site: Site, front: Faulty) -> None:
    site.publish(front)

    names = [path.rpartition("/")[2] for path in front.writes]
    assert names[-2:] == ["SHA256SUMS", "manifest.json"]


def test_an_object_without_our_digest_is_read_and_compared(site: Site) -> None:
    site.storage.put(site.path("output_analysis.html"), PAGE)
    assert site.publish().unchanged == 1

    site.storage.put(site.path("STEP_SUMMARY.md"), b"# failed\n")
    there = f"1 of 5 files are in {site.bucket}/run-7 already, with other content: STEP_SUMMARY.md"
    assert there in site.refused()

    assert site.get("STEP_SUMMARY.md")[0] == b"# failed\n"
    site.publish(overwrite=True)
    assert site.get("STEP_SUMMARY.md")[0] == b"# passed\n"


@pytest.mark.slow
def test_a_large_artifact_goes_in_parts_and_is_whole(site: Site) -> None:
    content = os.urandom(11 * 2**20 + 1)
    site.collect("data.h5ad", content)

    site.publish()

    stored, headers = site.get("data.h5ad")
    assert stored == content
    assert headers["x-amz-meta-sha256"] == hashlib.sha256(content).hexdigest()
    assert headers["etag"].strip('"').endswith("-3")


@pytest.mark.slow
@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("fault", [503, 429, "corrupt", "lose"])
def test_a_temporary_fault_is_retried(site: Site, front: Faulty, fault: int | str) -> None:
    front.faults = [fault, fault]

    assert site.publish(front, attempts=3).sent == 5

    assert site.get("output_analysis.html")[0] == PAGE
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
    site: Site, front: Faulty, fault: int | str, reason: Reason, expected: str
) -> None:
    front.faults = ["", ""]  # two files arrive
    front.always = fault

    error = site.failed(front, attempts=2)

    assert isinstance(error, ToolError)
    assert error.reason == reason
    assert expected in str(error)
    assert str(error).startswith("2 of 5 files sent, the manifest not: ")
    assert isinstance(error.outputs, Outputs)
    assert error.outputs.sent == 2
    assert len(front.writes) == 4
    with pytest.raises(OSError, match="404"):
        site.get("manifest.json")


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
    site: Site, front: Faulty, fault: int, reason: Reason, expected: str
) -> None:
    front.always = fault

    assert expected in site.refused(front, reason)
    assert len(front.writes) == 1


def test_a_missing_bucket_is_named(site: Site) -> None:
    message = site.refused(reason=Reason.NOT_FOUND, destination="s3://no-such-bucket")

    assert "HTTP 404 NoSuchBucket" in message
    assert message.endswith("is there a bucket no-such-bucket?")


@pytest.mark.slow
def test_a_server_that_stops_answering_fails_after_the_timeout(site: Site, front: Faulty) -> None:
    front.always = "stall"

    error = site.failed(front, attempts=1, timeout=1.0)

    assert isinstance(error, ToolError)
    assert error.reason == Reason.NETWORK


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [("http://127.0.0.1:1", "Connection refused"), ("http://nowhere.invalid", "lookup address")],
)
def test_an_unreachable_server_is_retried(
    site: Site, caplog: pytest.LogCaptureFixture, endpoint: str, expected: str
) -> None:
    error = site.failed(endpoint_url=endpoint, attempts=2)

    assert isinstance(error, ToolError)
    assert error.reason == Reason.NETWORK
    assert expected in str(error)
    assert sum("attempt 1 failed" in message for message in caplog.messages) == 1


def test_without_the_library_it_says_how_to_get_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)

    assert "pip install 'stepkit[s3]'" in site.refused()


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
    site: Site, wrong: dict[str, Any], expected: str
) -> None:
    message = site.refused(**wrong)

    assert expected in message
    assert "word" not in message


def test_without_keys_or_a_role_it_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")

    message = site.refused(reason=Reason.AUTH, **NO_KEYS)

    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give" in message


def test_without_keys_the_role_of_the_pod_is_taken(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Roles(loopback.Handler):
        def do_GET(self) -> None:
            asked.append(self.path)
            until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
            keys = {"AccessKeyId": "ROLE", "SecretAccessKey": "s", "Token": "t"}
            self.answer(200, json.dumps({**keys, "Expiration": until}).encode())

    asked: list[str] = []
    (site.artifacts.parent / "pod-token").write_text("token")
    with loopback.running(HTTPServer(("127.0.0.1", 0), Roles)) as server:
        url = f"http://127.0.0.1:{server.server_port}/role"
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        token = str(site.artifacts.parent / "pod-token")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token)
        sent = site.publish(**NO_KEYS).sent

    assert sent == 5
    assert asked[0] == "/role"


def test_a_name_that_no_object_can_have_is_refused(site: Site) -> None:
    site.collect("two\nlines.txt", b"x")

    assert site.refused()


@pytest.mark.slow
def test_a_private_authority_is_trusted_when_it_is_named(site: Site, tmp_path: Path) -> None:
    ca, certificate = make_authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with faulty(site.storage, context) as front:
        message = site.refused(front)
        assert site.publish(front, ca_file=ca).sent == 5

    assert "certificate is not trusted: name its authority with --ca-file" in message


def test_a_file_without_a_certificate_is_refused(site: Site) -> None:
    assert "No certificates found" in site.refused(ca_file=site.artifacts / "SHA256SUMS")


KEYS_OF_A_CHILD = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "VerySecret"}


def command(site: Site, url: str) -> list[str]:
    flags = [f"--artifacts={site.artifacts}", f"--destination={site.bucket}"]
    flags += [f"--endpoint-url={url}", f"--report={site.artifacts.parent}/report.json"]
    return [sys.executable, "-P", "-m", "stepkit", "publish-artifacts", *flags]


@pytest.mark.slow
def test_keys_come_by_the_environment_and_are_in_no_output(site: Site) -> None:
    env = {**os.environ, **KEYS_OF_A_CHILD}
    done = commands.run(*command(site, site.storage.url), env=env)

    assert done.returncode == 0
    report = (site.artifacts.parent / "report.json").read_text()
    output = done.stdout + done.stderr + report
    assert "AKIAEXAMPLE" not in output
    assert "VerySecret" not in output
    assert f"location={site.bucket}" in done.stdout
    assert json.loads(report)["outputs"]["sent"] == 5


@pytest.mark.slow
def test_a_signal_ends_an_upload_at_once(site: Site, front: Faulty) -> None:
    front.always = "stall"
    env = {**os.environ, **KEYS_OF_A_CHILD}
    child = subprocess.Popen(command(site, front.url), env=env, stderr=subprocess.PIPE)
    assert front.stalled.wait(60)

    child.send_signal(signal.SIGTERM)

    _, log = child.communicate(timeout=50)  # the server stalls for longer
    assert child.returncode == 143
    assert b"stopped by SIGTERM" in log
