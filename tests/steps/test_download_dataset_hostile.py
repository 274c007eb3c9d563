"""Servers that send false headers, and files that a notebook planted in directory and cache."""

import base64
import json
import os
from pathlib import Path

import pytest
from data_server import Fault, Reply, cut, status
from download_places import CONTENT, SHA256, Place

from stepkit.cli import main as cli
from stepkit.errors import Reason, UserCodeError

pytestmark = pytest.mark.usefixtures("no_waiting")

HUGE = "9" * 5000  # digits: more than int() takes


def with_length(length: str) -> Fault:
    return lambda reply: reply.having(Content_Length=length)


def without_validators(reply: Reply) -> Reply:
    headers = {name: value for name, value in reply.headers.items() if name != "ETag"}
    return Reply(status=reply.status, headers=headers, body=reply.body)


def test_an_impossible_content_length_is_ignored(place: Place) -> None:
    place.server.always = with_length(HUGE)

    message = place.refused(place.entry(), attempts=2)

    assert "the server does not send the file's length" in message


@pytest.mark.parametrize("length", [HUGE, "²"])
def test_a_malformed_content_range_is_not_continued(place: Place, length: str) -> None:
    place.begun(CONTENT[:1000])
    place.server.faults = [lambda reply: reply.having(Content_Range=f"bytes 1000-9/{length}")]

    place.run()

    assert place.file.read_bytes() == CONTENT
    assert place.server.ranges == ["bytes=1000-", None]


def test_an_invalid_date_in_retry_after_is_ignored(place: Place) -> None:
    date = f"Fri, 31 Dec {'9' * 30} 23:59:59 GMT"
    place.server.faults = [status(503, Retry_After=date)]

    place.run()

    assert place.file.read_bytes() == CONTENT


def test_without_a_checksum_a_range_without_a_validator_is_not_appended(place: Place) -> None:
    changed = CONTENT[:100_000][::-1] + CONTENT[100_000:][::-1]

    def cut_then_changed(reply: Reply) -> Reply:
        place.server.content, place.server.heeds_if_range = changed, False
        place.server.always = without_validators
        return cut()(reply)

    place.server.faults = [cut_then_changed]
    place.run(place.entry())

    assert place.file.read_bytes() == changed


@pytest.mark.parametrize("checksum", [True, False])
def test_the_size_in_the_manifest_applies_to_a_cached_file_too(
    place: Place, *, checksum: bool
) -> None:
    entry = place.entry(**({"sha256": SHA256} if checksum else {}))
    place.run(entry)
    place.file.unlink()

    error = place.failed({**entry, "size": len(CONTENT) + 1})

    assert (type(error), error.reason) == (UserCodeError, Reason.CHECKSUM)
    assert f"has {len(CONTENT)} bytes instead of {len(CONTENT) + 1}" in str(error)
    assert not place.file.exists()
    place.server.requests.clear()
    assert place.run(entry).from_cache == len(CONTENT), "a wrong manifest emptied the cache"


@pytest.mark.parametrize(
    "location", ["http://[::1", "http://me:hunt/er2@127.0.0.1/x", "http://me:hunter2@127.0.0.1/x"]
)
def test_an_invalid_redirect_is_refused_without_showing_its_password(
    place: Place, location: str
) -> None:
    place.server.always = status(302, Location=location)

    assert "hunt" not in place.refused()


@pytest.mark.parametrize("proxy", ["http://me:hunt er2@h:1", "http://me:hunt/er2@h:1"])
def test_an_invalid_proxy_is_named_without_its_password(
    place: Place, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)

    message = place.refused()

    assert "the proxy that the environment names: " in message
    assert "hunt" not in message


def test_the_password_of_a_proxy_is_decoded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    host = place.server.url.removeprefix("http://")
    monkeypatch.setenv("http_proxy", f"http://m%C3%A9:p%40ss@{host}")
    monkeypatch.delenv("no_proxy", raising=False)

    place.run({"url": "http://stepkit.invalid/census.bin", "sha256": SHA256})

    sent = place.server.requests[0]["Proxy-Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent).decode() == "mé:p@ss"


def test_a_url_with_bytes_that_are_not_text_is_refused(place: Place) -> None:
    options = place.options(manifest=None, url="http://127.0.0.1/\udcff", path="x")
    command = ["download-dataset", "--url", options.url, "--path", "x"]

    assert cli.main([*command, "--directory", str(place.directory)]) == 2


def test_the_signature_of_a_url_is_masked_in_the_report(place: Place, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    url = f"{place.server.url}/census.bin?v=2&X-Amz-Signature=0123abcd&sig=4567"
    command = ["download-dataset", "--url", url, "--directory", str(place.directory)]

    assert cli.main([*command, "--report", str(report)]) == 2

    written = json.loads(report.read_text())
    shown = f"{place.server.url}/census.bin?v=2&X-Amz-Signature=***&sig=***"
    assert written["options"]["url"] == shown


@pytest.mark.parametrize("planted", ["link", "hard link", "fifo"])
def test_a_planted_partial_file_is_replaced_and_not_written_to(
    place: Place, tmp_path: Path, planted: str
) -> None:
    place.cache.mkdir()
    outside = tmp_path / "outside"
    outside.write_text("somebody's work")
    if planted == "link":
        place.part.symlink_to(outside)
    elif planted == "hard link":
        place.part.hardlink_to(outside)
    else:
        os.mkfifo(place.part)

    place.run()

    assert place.file.read_bytes() == place.cached.read_bytes() == CONTENT
    assert (outside.read_text(), outside.stat().st_mode & 0o777) == ("somebody's work", 0o644)


def test_a_lock_that_is_a_link_is_not_followed(place: Place, tmp_path: Path) -> None:
    place.cache.mkdir()
    place.cached.with_suffix(".lock").symlink_to(tmp_path / "outside")

    assert f"cannot lock {place.cached}.lock: Too many levels of symbolic links" in place.refused()
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("name", ["{}.json", "{}.part.json"])
def test_a_sidecar_that_is_a_pipe_is_refused(place: Place, name: str) -> None:
    place.cache.mkdir()
    os.mkfifo(place.cache / name.format(SHA256))

    assert place.refused().endswith(".json: it exists and is not a regular file")


def test_a_linked_directory_of_partial_files_is_refused(place: Place, tmp_path: Path) -> None:
    place.directory.mkdir()
    (tmp_path / "away").mkdir()
    (place.directory / ".stepkit-datasets").symlink_to(tmp_path / "away")

    message = place.refused(cache=())

    assert message == f"{place.directory}/.stepkit-datasets is a symbolic link: remove it"
    assert list((tmp_path / "away").iterdir()) == []


def test_a_dataset_among_the_partial_files_is_refused(place: Place) -> None:
    entry = place.entry("x", sha256=SHA256, path=".stepkit-datasets/CACHEDIR.TAG")

    message = place.refused(entry)

    words = "line 1: datasets[0]: .stepkit-datasets is for locks and partial files: give another"
    assert f"{words} path" in message
