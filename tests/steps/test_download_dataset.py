"""Which files are downloaded or taken from the cache, and what is on the disk afterwards."""

import hashlib
import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from data_server import fine, status
from download_places import CONTENT, SHA256, Place

from stepkit.datasets import cache as dataset_cache
from stepkit.errors import ConfigurationError, Reason
from stepkit.steps import download_dataset
from stepkit.steps.download_dataset import WORK, Options, Outputs

pytestmark = pytest.mark.usefixtures("no_waiting")


def test_a_listed_dataset_is_downloaded_and_cached(place: Place) -> None:
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


def test_an_intact_file_is_kept_without_a_request(place: Place) -> None:
    place.run()
    stat = place.file.stat()

    assert place.run().datasets[0].came == "kept"
    assert place.file.stat() == stat
    assert len(place.server.requests) == 1


def test_another_directory_gets_the_file_from_the_cache(place: Place, tmp_path: Path) -> None:
    place.run()

    outputs = place.run(directory=tmp_path / "other")

    assert (outputs.downloaded, outputs.from_cache) == (0, len(CONTENT))
    assert (tmp_path / "other/census.bin").read_bytes() == CONTENT
    assert len(place.server.requests) == 1


def test_writing_into_a_copy_does_not_change_the_cache(place: Place) -> None:
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


def test_link_mode_none_fills_the_cache_alone(place: Place) -> None:
    assert place.run(link_mode="none").count == 1
    assert place.left() == ["KEY", "KEY.json"]
    assert not place.directory.exists()
    assert "--cache" in str(place.failed(link_mode="none", cache=()))


def test_without_a_cache_only_the_file_is_left(place: Place) -> None:
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
def test_conflicting_flags_are_refused(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        download_dataset.run(Options(directory=tmp_path / "d", **given))


@pytest.mark.parametrize("damage", [b"", CONTENT[:-1], bytes(len(CONTENT)), CONTENT + b"x"])
@pytest.mark.parametrize("where", ["file", "cached"])
def test_a_damaged_file_is_noticed_and_replaced(
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


def test_a_file_without_a_checksum_is_downloaded_again_when_the_server_has_another(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    entry = place.entry()

    outputs = place.run(entry)
    assert (outputs.unverified, outputs.datasets[0].verified) == (1, False)
    assert outputs.message.endswith("; 1 could not be verified")
    assert f"its sha256 is {SHA256} now: write that into the manifest" in caplog.text
    assert place.run(entry).downloaded == 0

    place.server.content, place.server.etag = CONTENT[::-1], '"v2"'
    assert place.run(entry).downloaded == len(CONTENT)
    assert place.file.read_bytes() == CONTENT[::-1]


def test_a_url_without_a_checksum_gets_one_by_the_flag(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.run(manifest=None, url=f"{place.server.url}/census.bin")

    assert f"its sha256 is {SHA256} now: give it as --sha256 (param dataset-sha256 " in caplog.text


def test_checksums_can_be_required(place: Place) -> None:
    message = place.refused(place.entry("a"), require_checksums=True)

    assert "1 of 1 datasets have no sha256, the first at" in message
    assert place.server.requests == []


def test_a_disk_that_is_too_small_fails_before_the_download(place: Place, small_disk: Path) -> None:
    place.server.content = bytes(2_000_000)
    sha256 = hashlib.sha256(place.server.content).hexdigest()

    error = place.failed(place.entry(sha256=sha256), cache=(small_disk / "cache",))

    assert (error.exit_code, error.reason) == (4, Reason.DISK_FULL)
    assert "the rest of the file needs 2.0 MB" in str(error)
    assert len(place.server.requests) == 1


def test_a_full_disk_keeps_the_partial_file(place: Place, small_disk: Path) -> None:
    place.server.content = random.Random(1).randbytes(2_000_000)
    place.server.always = lambda reply: replace(reply, chunked=True)
    sha256 = hashlib.sha256(place.server.content).hexdigest()
    entry = place.entry(sha256=sha256)
    cache = small_disk / "cache"

    error = place.failed(entry, cache=(cache,))

    assert (error.exit_code, error.reason) == (4, Reason.DISK_FULL)
    assert len(place.server.requests) == 1
    (entry_left,) = dataset_cache.entries(cache)
    assert entry_left.sha256 is None
    assert entry_left.size > 500_000


def test_without_room_for_the_copy_the_file_stays_in_the_cache(
    place: Place, small_disk: Path
) -> None:
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
def test_a_path_that_cannot_be_written_is_a_configuration_error(place: Place, where: str) -> None:
    (place.directory.parent / "file").write_text("x")
    path = place.directory.parent / "file/below"

    assert str(path) in place.refused(**{where: (path,) if where == "cache" else path})


@pytest.mark.parametrize("kind", ["link", "directory", "link above", "fifo"])
def test_only_a_regular_file_is_replaced(place: Place, tmp_path: Path, kind: str) -> None:
    place.directory.mkdir()
    (tmp_path / "away").mkdir()
    entry = place.entry(sha256=SHA256)
    if kind == "link":
        place.file.symlink_to(tmp_path / "away/file")
    elif kind == "directory":
        (place.file / "work").mkdir(parents=True)
    elif kind == "fifo":
        os.mkfifo(place.file)
    else:
        (place.directory / "sub").symlink_to(tmp_path / "away")
        entry["path"] = "sub/census.bin"

    assert place.refused(entry)
    assert list((tmp_path / "away").iterdir()) == []


def test_datasets_before_a_failed_one_are_reported_and_stay(place: Place) -> None:
    good = place.entry(sha256=SHA256)
    place.server.faults = [fine]
    place.server.always = status(404)

    error = place.failed(good, {**good, "sha256": "1" * 64, "path": "b.bin"})

    assert isinstance(error.outputs, Outputs)
    assert [one.path for one in error.outputs.datasets] == ["census.bin"]
    assert str(error).startswith("b.bin: ")
    assert place.file.exists()
