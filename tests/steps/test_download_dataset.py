"""The step against a real server: what comes, from where, and what is on the disk then."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import random
import shutil
import ssl
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from data_server import DataServer, Fault, Reply, cut, fine, flip, page, serving, status

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError, UserCodeError
from stepkit.steps import download_dataset
from stepkit.steps.download_dataset import WORK, Options, Outputs
from stepkit.tools import dataset_cache

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT = random.Random(7).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()

pytestmark = pytest.mark.usefixtures("no_waiting")


@pytest.fixture
def server() -> Iterator[DataServer]:
    with serving(CONTENT) as server:
        yield server


class Place:
    """A directory to download to, and a cache."""

    def __init__(self, root: Path, server: DataServer) -> None:
        self.server = server
        self.directory, self.cache = root / "data", root / "cache"
        self.manifest = root / "datasets.yaml"

    def options(self, *entries: dict[str, Any], **more: Any) -> Options:
        entries = entries or ({"url": f"{self.server.url}/census.bin", "sha256": SHA256},)
        self.manifest.write_text(json.dumps({"datasets": entries}))
        given = {"manifest": self.manifest, "directory": self.directory, "cache": (self.cache,)}
        return Options(**{**given, **more})

    def run(self, *entries: dict[str, Any], **more: Any) -> Outputs:
        return download_dataset.run(self.options(*entries, **more))

    def failed(self, *entries: dict[str, Any], **more: Any) -> StepError:
        with pytest.raises(StepError) as caught:
            self.run(*entries, **more)
        return caught.value

    @property
    def file(self) -> Path:
        return self.directory / "census.bin"

    @property
    def cached(self) -> Path:
        return self.cache / SHA256

    @property
    def part(self) -> Path:
        return self.cache / f"{SHA256}.part"

    def begun(self, content: bytes, etag: str = '"v1"', total: int = len(CONTENT)) -> None:
        """Leave what an interrupted run would have left."""
        self.cache.mkdir(exist_ok=True)
        self.part.write_bytes(content)
        source = hashlib.sha256(f"{self.server.url}/census.bin".encode()).hexdigest()
        told = {"source": source, "validator": etag, "total": total}
        self.part.with_name(f"{self.part.name}.json").write_text(json.dumps(told))

    def left(self) -> list[str]:
        """Name what is there of datasets, in cache and directory, without locks and tags."""
        paths = [*self.cache.rglob("*"), *self.directory.rglob("*")]
        return sorted(
            path.name.replace(SHA256, "KEY")
            for path in paths
            if path.is_file() and path.suffix != ".lock" and path.name != dataset_cache.TAG
        )


@pytest.fixture
def place(tmp_path: Path, server: DataServer) -> Place:
    return Place(tmp_path, server)


def test_downloads_what_the_manifest_lists_and_keeps_it_for_later_runs(place: Place) -> None:
    outputs = place.run()

    assert place.file.read_bytes() == CONTENT
    assert (outputs.count, outputs.downloaded, outputs.from_cache) == (1, len(CONTENT), 0)
    assert outputs.message == "1 dataset: 0.3 MB downloaded, 0.0 MB from the cache"
    assert outputs.digest == hashlib.sha256(f"{SHA256}  census.bin\n".encode()).hexdigest()
    (one,) = outputs.datasets
    assert (one.came, one.verified, one.size, one.sha256) == ("downloaded", True, 300_000, SHA256)
    assert place.left() == ["KEY", "KEY.json", "census.bin"]
    assert place.cached.stat().st_mode & 0o777 == 0o444
    (entry,) = dataset_cache.entries(place.cache)
    assert (entry.sha256, entry.size) == (SHA256, len(CONTENT))


def test_a_file_that_is_right_already_is_kept_and_no_server_asked(place: Place) -> None:
    place.run()
    stat = place.file.stat()

    outputs = place.run()

    assert outputs.datasets[0].came == "kept"
    assert place.file.stat() == stat
    assert len(place.server.requests) == 1


def test_another_directory_gets_the_file_from_the_cache(place: Place, tmp_path: Path) -> None:
    place.run()

    outputs = place.run(directory=tmp_path / "other")

    assert (outputs.downloaded, outputs.from_cache) == (0, len(CONTENT))
    assert (tmp_path / "other/census.bin").read_bytes() == CONTENT
    assert len(place.server.requests) == 1


def test_what_a_notebook_writes_into_its_copy_does_not_reach_the_cache(place: Place) -> None:
    place.run()
    with place.file.open("r+b") as file:
        file.write(b"normalised")

    assert place.run().datasets[0].came == "cache"
    assert place.file.read_bytes() == CONTENT


def test_hard_links_take_no_space_and_are_read_only(place: Place) -> None:
    place.run(link_mode="hardlink")

    assert place.file.samefile(place.cached)
    assert place.file.stat().st_mode & 0o777 == 0o444
    assert place.run(link_mode="hardlink").datasets[0].came == "kept"


def test_the_cache_alone_is_filled_where_no_link_is_wanted(place: Place) -> None:
    assert place.run(link_mode="none").count == 1
    assert place.left() == ["KEY", "KEY.json"]
    assert not place.directory.exists()
    assert "--cache" in str(place.failed(link_mode="none", cache=()))


def test_without_a_cache_nothing_but_the_file_is_left(place: Place) -> None:
    place.run(cache=())

    assert place.file.read_bytes() == CONTENT
    assert place.left() == ["census.bin"]
    assert place.file.stat().st_mode & 0o200


def test_one_file_needs_no_manifest(place: Place, tmp_path: Path) -> None:
    options = Options(url=f"{place.server.url}/a%20b.bin", sha256=SHA256, directory=tmp_path / "d")

    assert download_dataset.run(options).count == 1
    assert (tmp_path / "d/a b.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "name either a --manifest or a --url"),
        ({"url": "https://h/f", "manifest": Path("x")}, "name either a --manifest or a --url"),
        ({"url": "https://h/f", "sha256": "abc"}, "--sha256 cannot be"),
        ({"url": "https://h/f?X-Amz-Signature=abc"}, "write the URL into a manifest"),
        ({"manifest": Path("x"), "sha256": SHA256}, "--sha256 goes with --url"),
    ],
)
def test_flags_that_do_not_fit_together_are_refused(
    tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        download_dataset.run(Options(directory=tmp_path / "d", **given))


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (401, ConfigurationError, Reason.AUTH),
        (403, ConfigurationError, Reason.AUTH),
        (404, ConfigurationError, Reason.NOT_FOUND),
        (410, ConfigurationError, Reason.NOT_FOUND),
        (451, ConfigurationError, Reason.BAD_INPUT),
    ],
)
def test_a_refusal_is_not_tried_again(
    place: Place, code: int, kind: type[StepError], reason: Reason
) -> None:
    place.server.always = status(code)

    error = place.failed()

    assert (type(error), error.reason) == (kind, reason)
    assert f"census.bin: {place.server.url}/census.bin: the server answered HTTP {code}" in str(
        error
    )
    assert len(place.server.requests) == 1
    assert place.left() == []


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504, 520])
def test_a_server_that_is_busy_twice_is_asked_a_third_time(place: Place, code: int) -> None:
    place.server.faults = [status(code, Retry_After="1"), status(code)]

    assert place.run().downloaded == len(CONTENT)
    assert len(place.server.requests) == 3


def test_a_server_that_stays_busy_is_given_up(place: Place) -> None:
    place.server.always = status(503)

    error = place.failed(attempts=3)

    assert (type(error.exit_code), error.exit_code, error.reason) == (int, 4, Reason.NETWORK)
    assert len(place.server.requests) == 3


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        ("7", 7, 7),
        ("Sun, 01 Jan 2012 00:00:00 GMT", 0, 2),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 300, 300),
        ("999999", 300, 300),
        ("soon", 0, 2),
        ("-5", 0, 2),
    ],
)
def test_the_pause_that_a_server_asks_for_is_kept_up_to_a_limit(
    place: Place, monkeypatch: pytest.MonkeyPatch, asked: str, least: float, most: float
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", pauses.append)
    place.server.faults = [status(429, Retry_After=asked)]

    place.run()

    assert len(pauses) == 1
    assert least <= pauses[0] <= most


def test_a_download_that_breaks_off_again_and_again_goes_on_where_it_stopped(place: Place) -> None:
    place.server.faults = [cut(3), cut(3), cut(2)]

    outputs = place.run(attempts=1)  # each brought something: none of them counts

    assert place.server.ranges == [None, "bytes=100000-", "bytes=166666-", "bytes=233333-"]
    assert all(request["If-Range"] == '"v1"' for request in place.server.requests[1:])
    assert outputs.downloaded == len(CONTENT)
    assert place.file.read_bytes() == CONTENT


BROKEN: dict[str, Fault] = {
    "reset": lambda reply: replace(reply, reset=True),
    "cut": cut(),
    "cut without length": lambda reply: replace(cut()(reply), told_length=False),
    "cut chunk": lambda reply: replace(cut()(reply), chunked=True),
    "flipped bit": flip,
    "login page": page,
    "wrong range": lambda reply: reply.having(Content_Range="bytes 5-9/300000"),
    "garbage range": lambda reply: reply.having(Content_Range="half of it"),
    "partial unasked": lambda reply: replace(reply, status=206).having(Content_Range="bytes 0-1/9"),
    "other length": lambda reply: replace(reply, body=reply.body[:-1]),
    "redirect loop": status(302, Location="/census.bin"),
    "compressed": lambda reply: replace(flip(reply)).having(Content_Encoding="gzip"),
    "no answer": lambda _: Reply(status=500),
}


@pytest.mark.parametrize("fault", [name for name in BROKEN if name != "redirect loop"])
def test_after_one_fault_the_right_file_comes(place: Place, fault: str) -> None:
    place.server.faults = [BROKEN[fault]]

    place.run()

    assert place.file.read_bytes() == CONTENT
    assert place.left() == ["KEY", "KEY.json", "census.bin"]


@pytest.mark.parametrize("begun", [0, 100_000])
@pytest.mark.parametrize(
    "fault", [name for name in BROKEN if not name.startswith("cut") and "range" not in name]
)
def test_a_fault_that_stays_is_told_and_leaves_no_file(
    place: Place, fault: str, begun: int
) -> None:
    if begun:
        place.begun(CONTENT[:begun])
    place.server.always = BROKEN[fault]

    error = place.failed(attempts=2)

    assert error.exit_code in {2, 3, 4}
    assert not place.file.exists()
    assert not place.cached.exists()
    assert isinstance(error.outputs, Outputs)
    assert error.outputs.count == 0


@pytest.mark.parametrize("fault", ["wrong range", "garbage range"])
def test_another_range_than_was_asked_for_is_not_appended(place: Place, fault: str) -> None:
    place.begun(CONTENT[:100_000])
    place.server.always = BROKEN[fault]

    place.run()

    assert place.server.ranges == ["bytes=100000-", None]
    assert place.file.read_bytes() == CONTENT


def test_the_same_wrong_file_twice_is_no_matter_of_trying(place: Place) -> None:
    place.server.always = flip

    error = place.failed()

    assert (type(error), error.reason) == (UserCodeError, Reason.CHECKSUM)
    assert f"not {SHA256}, twice: either the file was replaced or the manifest is wrong" in str(
        error
    )
    assert len(place.server.requests) == 2
    assert place.left() == []


def test_another_wrong_file_each_time_is_the_way_that_it_came(place: Place) -> None:
    place.server.faults = [flip, lambda reply: flip(replace(reply, body=reply.body[::-1]))]

    error = place.failed()

    assert (type(error), error.reason) == (ToolError, Reason.CHECKSUM)
    assert "each time another" in str(error)


def test_a_web_page_in_place_of_the_file_is_told(place: Place) -> None:
    place.server.always = page

    error = place.failed({"url": f"{place.server.url}/census.bin"}, attempts=2)

    assert (type(error), error.reason) == (ToolError, Reason.NETWORK)
    assert "a web page in place of the file: does it ask for a login?" in str(error)


def test_a_page_is_what_comes_where_a_page_is_wanted(place: Place) -> None:
    place.server.always = page

    place.run({"url": f"{place.server.url}/report.html"})

    assert (place.directory / "report.html").read_bytes().startswith(b"<html>")


@pytest.mark.parametrize(
    ("content", "etag", "asked"),
    [
        (CONTENT[:1000], '"v1"', "bytes=1000-"),
        (b"x" * 1000, '"v1"', "bytes=1000-"),
        (CONTENT[:1000], '"v0"', "bytes=1000-"),
        (CONTENT[:1000], 'W/"v1"', "bytes=1000-"),
        (CONTENT[:1000], "", "bytes=1000-"),
        (CONTENT + b"more", '"v1"', None),
        (b"x" * len(CONTENT), '"v1"', None),
    ],
    ids=["ok", "corrupt", "changed", "weak", "no validator", "longer", "complete but wrong"],
)
@pytest.mark.parametrize("server_is", ["good", "deaf to If-Range", "deaf to Range"])
def test_whatever_a_killed_run_left_the_right_file_comes(
    place: Place, content: bytes, etag: str, asked: str | None, server_is: str
) -> None:
    place.server.heeds_if_range = server_is != "deaf to If-Range"
    place.server.heeds_ranges = server_is != "deaf to Range"
    place.begun(content, etag)

    place.run()

    assert place.file.read_bytes() == CONTENT
    assert place.left() == ["KEY", "KEY.json", "census.bin"]
    assert place.server.ranges[0] == asked


def test_a_part_that_is_whole_needs_no_server(place: Place) -> None:
    place.begun(CONTENT)

    assert place.run().downloaded == 0
    assert place.server.requests == []


def test_without_a_checksum_a_part_is_gone_on_from_only_by_a_strong_validator(
    place: Place,
) -> None:
    entry = {"url": f"{place.server.url}/census.bin"}
    for etag, asked in (('"v1"', "bytes=100000-"), ('W/"v1"', None)):
        place.server.etag = etag
        place.server.faults = [cut(), status(404)]
        place.failed(entry, cache=())
        place.server.requests.clear()
        place.run(entry, cache=())
        assert place.server.ranges == [asked]
        assert place.file.read_bytes() == CONTENT


@pytest.mark.parametrize("damage", [b"", CONTENT[:-1], bytes(len(CONTENT)), CONTENT + b"x"])
@pytest.mark.parametrize("where", ["file", "cached"])
def test_a_damaged_file_is_found_out_and_loaded_again(
    place: Place, caplog: pytest.LogCaptureFixture, damage: bytes, where: str
) -> None:
    place.run()
    damaged: Path = getattr(place, where)
    damaged.unlink()
    damaged.write_bytes(damage)
    if where == "cached":
        place.file.unlink()

    place.run()

    assert place.file.read_bytes() == place.cached.read_bytes() == CONTENT
    expected = "in the cache is damaged" if where == "cached" else "another file than it should be"
    assert expected in caplog.text


def test_a_file_without_a_checksum_is_loaded_again_only_when_the_server_has_another(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    entry = {"url": f"{place.server.url}/census.bin"}

    outputs = place.run(entry)
    assert (outputs.unverified, outputs.datasets[0].verified) == (1, False)
    assert outputs.message.endswith("; 1 could not be verified")
    assert f"its sha256 is {SHA256} now: write that into the manifest" in caplog.text
    assert place.run(entry).downloaded == 0

    place.server.content, place.server.etag = CONTENT[::-1], '"v2"'
    assert place.run(entry).downloaded == len(CONTENT)
    assert place.file.read_bytes() == CONTENT[::-1]


def test_checksums_can_be_required(place: Place) -> None:
    error = place.failed({"url": f"{place.server.url}/a"}, require_checksums=True)

    assert "1 of 1 datasets have no sha256, the first at" in str(error)
    assert place.server.requests == []


def test_a_length_that_nobody_tells_is_refused(place: Place) -> None:
    place.server.always = lambda reply: replace(reply, told_length=False)

    error = place.failed({"url": f"{place.server.url}/census.bin"})

    assert isinstance(error, ConfigurationError)
    assert "nobody could tell whether all of it came" in str(error)
    place.run({"url": f"{place.server.url}/census.bin", "size": len(CONTENT)})
    assert place.file.read_bytes() == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1])
@pytest.mark.parametrize("chunked", [False, True])
def test_another_size_than_the_manifest_says_is_refused(
    place: Place, size: int, *, chunked: bool
) -> None:
    place.server.always = lambda reply: replace(reply, chunked=chunked)

    error = place.failed({"url": f"{place.server.url}/census.bin", "size": size}, attempts=2)

    assert error.reason in {Reason.CHECKSUM, Reason.NETWORK}
    assert not place.file.exists()


def test_a_mirror_is_asked_when_the_first_server_fails(place: Place) -> None:
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


def test_a_server_that_stalls_is_left_and_asked_for_the_rest(place: Place) -> None:
    place.server.faults = [lambda reply: replace(cut()(reply), hangs=True)]

    place.run(stall_timeout=1.0, attempts=50)

    assert place.server.ranges[1] == "bytes=100000-"
    assert place.file.read_bytes() == CONTENT


def test_a_server_that_drips_is_given_up(place: Place) -> None:
    place.server.always = lambda reply: replace(reply, drips=True)

    error = place.failed(stall_timeout=0.5, attempts=1)

    assert (type(error), error.reason) == (ToolError, Reason.NETWORK)
    assert place.part.stat().st_size > 0


def test_the_time_limit_ends_a_download_and_what_came_is_kept(place: Place) -> None:
    place.server.always = cut(2)

    error = place.failed(timeout=0.0)

    assert (error.exit_code, error.reason) == (4, Reason.TIMEOUT)
    assert "give --timeout more" in str(error)


def test_a_redirect_is_followed(place: Place) -> None:
    with serving(b"") as first:
        first.always = status(302, Location=f"{place.server.url}/there")
        place.run({"url": f"{first.url}/census.bin", "sha256": SHA256})

    assert place.server.paths == ["/there"]
    assert place.file.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("file:///etc/passwd", "is no https:// or http:// address"),
        ("http://169.254.169.254/latest/meta-data", "where clouds keep credentials"),
        ("http://user:secret@127.0.0.1/x", "holds a user name or password"),
        ("http://127.0.0.1:x/", "is no URL"),
    ],
)
def test_a_redirect_to_where_no_dataset_is_is_refused(
    place: Place, location: str, said: str
) -> None:
    place.server.always = status(302, Location=location)

    error = place.failed()

    assert isinstance(error, ConfigurationError)
    assert said in str(error)
    assert "secret" not in str(error)


def test_the_token_goes_to_its_own_server_alone(place: Place) -> None:
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
    entry = {"url": f"{place.server.url}/census.bin", "sha256": SHA256, "auth": "lab"}

    place.run(entry, tokens=tmp_path / "tokens", token_origins=(place.server.url,))

    assert place.server.requests[0]["Authorization"] == "Bearer fromfile"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"token": None}, "there is no token DATASET_TOKEN"),
        ({"token": "a\nb"}, "a line break"),
        ({"token": "abcd", "token_origins": ("https://example.org",)}, "may get no token"),
    ],
)
def test_a_token_that_cannot_be_sent_fails_before_anything_is_asked(
    place: Place, given: dict[str, Any], said: str
) -> None:
    entry = {"url": f"{place.server.url}/x", "sha256": SHA256, "auth": "DATASET_TOKEN"}

    error = place.failed(entry, **given)

    assert (type(error), error.reason) == (ConfigurationError, Reason.AUTH)
    assert said in str(error)
    assert place.server.requests == []


def test_a_signature_in_a_url_is_shown_nowhere(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "stepkit")
    entry = {"url": f"{place.server.url}/census.bin?X-Amz-Signature=0123abcd", "sha256": SHA256}
    place.server.faults = [cut(), status(503)]

    outputs = place.run(entry)
    place.server.always = status(403)
    error = place.failed({**entry, "sha256": "0" * 64})

    assert "0123abcd" in place.server.paths[0]
    told = [path.read_text() for path in place.cache.glob("*.json")]
    for text in (caplog.text, str(outputs), str(error), *told):
        assert "0123abcd" not in text
    assert f"{place.server.url}/census.bin?..." in caplog.text


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Make a certificate of 127.0.0.1 that no authority has signed, with its key."""
    path = tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(path), "-out", f"{path}.crt"]
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl")
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + path.with_name("certificate.pem.crt").read_text())
    return path


def test_a_server_is_trusted_by_its_certificate_and_may_not_lead_to_http(
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
    assert "name that in SSL_CERT_FILE" in str(unknown)
    assert place.file.read_bytes() == CONTENT
    assert isinstance(downgraded, ConfigurationError)
    assert "which is not encrypted" in str(downgraded)
    assert place.server.requests == []


@pytest.mark.parametrize("direction", ["proxy", "server"])
def test_a_port_where_nobody_listens_is_a_matter_of_the_network(
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


def test_too_small_a_disk_is_told_before_the_download(place: Place, small_disk: Path) -> None:
    place.server.content = bytes(2_000_000)
    sha256 = hashlib.sha256(place.server.content).hexdigest()
    entry = {"url": f"{place.server.url}/census.bin", "sha256": sha256}

    error = place.failed(entry, cache=(small_disk / "cache",))

    assert (error.exit_code, error.reason) == (4, Reason.DISK_FULL)
    assert "2.0 MB are to come" in str(error)
    assert len(place.server.requests) == 1


def test_a_disk_that_fills_up_keeps_what_came(place: Place, small_disk: Path) -> None:
    place.server.content = random.Random(1).randbytes(2_000_000)
    place.server.always = lambda reply: replace(reply, chunked=True)
    sha256 = hashlib.sha256(place.server.content).hexdigest()
    entry = {"url": f"{place.server.url}/census.bin", "sha256": sha256}
    cache = small_disk / "cache"

    error = place.failed(entry, cache=(cache,))

    assert (error.exit_code, error.reason) == (4, Reason.DISK_FULL)
    assert len(place.server.requests) == 1
    (entry_left,) = dataset_cache.entries(cache)
    assert entry_left.sha256 is None
    assert entry_left.size > 500_000


def test_no_room_for_the_copy_leaves_the_file_in_the_cache(place: Place, small_disk: Path) -> None:
    (small_disk / "full").write_bytes(bytes(900_000))

    error = place.failed(directory=small_disk / "data")

    assert (error.exit_code, error.reason) == (4, Reason.DISK_FULL)
    assert place.cached.read_bytes() == CONTENT
    assert [path.name for path in (small_disk / "data").iterdir()] == [WORK]


def test_a_link_to_another_disk_becomes_a_copy(
    place: Place, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place.run(directory=small_disk / "data", link_mode="hardlink")

    assert (small_disk / "data/census.bin").read_bytes() == CONTENT
    assert "no hard link from the cache is possible" in caplog.text


@pytest.mark.parametrize("where", ["directory", "cache"])
def test_a_path_that_cannot_be_written_is_a_mistake(place: Place, where: str) -> None:
    (place.directory.parent / "file").write_text("x")
    path = place.directory.parent / "file/below"

    error = place.failed(**{where: (path,) if where == "cache" else path})

    assert isinstance(error, ConfigurationError)
    assert str(path) in str(error)


@pytest.mark.parametrize("kind", ["link", "directory", "link above", "fifo"])
def test_what_is_no_file_is_not_replaced(place: Place, tmp_path: Path, kind: str) -> None:
    place.directory.mkdir()
    (tmp_path / "away").mkdir()
    entry = {"url": f"{place.server.url}/census.bin", "sha256": SHA256}
    if kind == "link":
        place.file.symlink_to(tmp_path / "away/file")
    elif kind == "directory":
        (place.file / "work").mkdir(parents=True)
    elif kind == "fifo":
        os.mkfifo(place.file)
    else:
        (place.directory / "sub").symlink_to(tmp_path / "away")
        entry["path"] = "sub/census.bin"

    error = place.failed(entry)

    assert isinstance(error, ConfigurationError)
    assert list((tmp_path / "away").iterdir()) == []


def test_truncated_hdf5_is_found_out_even_without_a_checksum(place: Place) -> None:
    head = b"\x89HDF\r\n\x1a\n\x02\x08\x08\x00" + bytes(8) + b"\xff" * 8
    place.server.content = head + (400).to_bytes(8, "little") + bytes(300)

    error = place.failed({"url": f"{place.server.url}/census.h5ad"})
    assert error.reason is Reason.CHECKSUM
    assert "census.h5ad is cut off: 336 of 400 bytes are there" in str(error)

    place.server.content = CONTENT
    assert "is no HDF5 file" in str(place.failed({"url": f"{place.server.url}/census.h5ad"}))
    place.server.content = head + (336).to_bytes(8, "little") + bytes(300)
    assert place.run({"url": f"{place.server.url}/census.h5ad"}).count == 1


def test_what_came_before_a_failure_is_reported_and_stays(place: Place) -> None:
    good = {"url": f"{place.server.url}/census.bin", "sha256": SHA256}
    place.server.faults = [fine]
    place.server.always = status(404)

    error = place.failed(good, {**good, "sha256": "1" * 64, "path": "b.bin"})

    assert isinstance(error.outputs, Outputs)
    assert [one.path for one in error.outputs.datasets] == ["census.bin"]
    assert str(error).startswith("b.bin: ")
    assert place.file.exists()


def zipped(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/"), text)
    return buffer.getvalue()


class Archive(Place):
    """A place for the files of an archive."""

    def entry(self, **members: str) -> dict[str, Any]:
        self.server.content = zipped(**members)
        self.server.etag = f'"{len(self.server.requests)}"'
        sha256 = hashlib.sha256(self.server.content).hexdigest()
        return {"url": f"{self.server.url}/atlas.zip", "sha256": sha256, "unpack": "auto"}


@pytest.fixture
def archive(tmp_path: Path, server: DataServer) -> Archive:
    return Archive(tmp_path, server)


def test_an_archive_is_unpacked_once(archive: Archive) -> None:
    entry = archive.entry(a="one", sub__b="two")

    outputs = archive.run(entry)
    made = (archive.directory / "atlas").stat().st_ino
    (archive.directory / "atlas/result.txt").write_text("the notebook's")

    assert outputs.datasets[0].unpacked
    assert (archive.directory / "atlas/sub/b").read_text() == "two"
    again = archive.run(entry)
    assert again.datasets[0].came == "kept"
    assert (again.digest, again.datasets[0].size) == (outputs.digest, outputs.datasets[0].size)
    assert (archive.directory / "atlas").stat().st_ino == made
    assert len(archive.server.requests) == 1


def test_another_archive_takes_the_place_of_the_older_one(archive: Archive) -> None:
    archive.run(archive.entry(a="one", old="x"))
    archive.run(archive.entry(a="two"))

    names = sorted(path.name for path in (archive.directory / "atlas").iterdir())
    assert names == [".stepkit-dataset.json", "a"]
    assert sorted(path.name for path in archive.directory.iterdir()) == [WORK, "atlas"]


@pytest.mark.parametrize("change", ["added", "edited"])
def test_what_was_added_to_an_older_archive_is_kept_beside_it(
    archive: Archive, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    archive.run(archive.entry(a="one"))
    name = "a" if change == "edited" else "mine"
    (archive.directory / "atlas" / name).write_text("my work")

    archive.run(archive.entry(a="two"))

    (backup,) = archive.directory.glob("atlas.backup-*")
    assert (backup / name).read_text() == "my work"
    assert (archive.directory / "atlas/a").read_text() == "two"
    assert f"kept as {backup}" in caplog.text


def test_a_file_that_is_missing_from_an_archive_comes_back(archive: Archive) -> None:
    entry = archive.entry(a="one", b="two")
    archive.run(entry)
    (archive.directory / "atlas/b").unlink()

    assert archive.run(entry).datasets[0].came == "cache"
    assert (archive.directory / "atlas/b").read_text() == "two"


def test_somebodys_directory_is_not_replaced_by_an_archive(archive: Archive) -> None:
    (archive.directory / "atlas").mkdir(parents=True)
    (archive.directory / "atlas/mine").write_text("x")

    error = archive.failed(archive.entry(a="one"))

    assert isinstance(error, ConfigurationError)
    assert "not replacing them" in str(error)
    assert archive.server.requests == []


def test_what_is_no_archive_is_told(archive: Archive) -> None:
    entry = {"url": f"{archive.server.url}/census.bin", "sha256": SHA256, "unpack": True}

    error = archive.failed(entry)

    assert isinstance(error, ConfigurationError)
    assert "census.bin: this is no tar or zip file" in str(error)
    assert not (archive.directory / "census.bin").exists()


def test_without_a_cache_the_archive_itself_is_not_kept(archive: Archive) -> None:
    archive.run(archive.entry(a="one"), cache=())

    assert archive.left() == [".stepkit-dataset.json", "a"]
