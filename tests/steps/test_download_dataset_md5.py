"""Datasets of which only an MD5, or a rounded size, is known."""

import hashlib
import io
import tarfile

import pytest
from data_server import flip
from download_places import CONTENT, SHA256, Place

from stepkit.errors import Reason, UserCodeError

pytestmark = pytest.mark.usefixtures("no_waiting")

MD5 = hashlib.md5(CONTENT).hexdigest()


def test_an_md5_verifies_a_file_and_is_named_as_weak(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    outputs = place.run(place.entry(md5=MD5.upper()))

    (one,) = outputs.datasets
    assert (one.sha256, one.verified, one.verified_by) == (SHA256, True, "md5")
    assert (outputs.unverified, outputs.weak) == (0, 1)
    assert outputs.message.endswith("; 1 verified by MD5 alone, which is weak")
    assert "an md5 finds damage, but another file can be made to have the same" in caplog.text
    assert f"its sha256 is {SHA256} now: write that into the manifest" in caplog.text


def test_a_file_with_the_md5_is_used_without_a_request(place: Place) -> None:
    entry = place.entry(md5=MD5)
    place.run(entry)

    assert place.run(entry).datasets[0].came == "kept"
    place.file.unlink()
    assert place.run(entry).datasets[0].came == "cache"
    assert len(place.server.requests) == 1


def test_without_a_cache_a_file_with_the_md5_is_kept(place: Place) -> None:
    entry = place.entry(md5=MD5)
    place.run(entry, cache=())

    assert place.run(entry, cache=()).datasets[0].came == "kept"
    assert len(place.server.requests) == 1


def test_an_md5_that_is_added_later_is_compared_with_the_cache(place: Place) -> None:
    place.run(place.entry())
    place.file.unlink()

    assert place.run(place.entry(md5=MD5)).datasets[0].came == "cache"
    assert len(place.server.requests) == 1


def test_a_file_with_another_md5_twice_is_refused(place: Place) -> None:
    place.run(place.entry())
    place.server.always = flip
    wrong = "0" * 32

    error = place.failed(place.entry(md5=wrong))

    assert (type(error), error.reason) == (UserCodeError, Reason.CHECKSUM)
    assert f", not {wrong}, twice: either the file was replaced or the manifest" in str(error)
    assert "has the md5 " in str(error)
    assert place.file.read_bytes() == CONTENT


def test_a_wrong_md5_beside_the_right_sha256_is_noticed(place: Place) -> None:
    error = place.failed(place.entry(sha256=SHA256, md5="0" * 32))

    assert (type(error), error.reason) == (UserCodeError, Reason.CHECKSUM)
    assert not place.file.exists()


def test_a_wrong_md5_is_noticed_of_a_file_that_is_there_already(place: Place) -> None:
    place.run(place.entry(sha256=SHA256))

    error = place.failed(place.entry(sha256=SHA256, md5="0" * 32))

    assert (type(error), error.reason) == (UserCodeError, Reason.CHECKSUM)
    assert place.file.read_bytes() == CONTENT


def test_an_md5_is_not_the_checksum_that_can_be_required(place: Place) -> None:
    message = place.refused(place.entry(md5=MD5), require_checksums=True)

    assert "1 of 1 datasets have no sha256" in message


def test_an_interrupted_download_is_continued_by_its_md5(place: Place) -> None:
    place.server.etag = ""
    key = hashlib.sha256(f"{place.server.url}/census.bin".encode()).hexdigest()
    place.cache.mkdir()
    (place.cache / f"{key}.part").write_bytes(CONTENT[:100_000])

    assert place.run(place.entry(md5=MD5)).downloaded == 200_000
    assert place.file.read_bytes() == CONTENT


def test_an_archive_with_an_md5_is_unpacked_once(place: Place) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty.txt"))
    place.server.content = packed.getvalue()
    md5 = hashlib.md5(place.server.content).hexdigest()
    entry = place.entry("markers.tar", md5=md5, unpack="auto")

    assert place.run(entry).datasets[0].came == "downloaded"
    assert place.run(entry).datasets[0].came == "kept"
    assert (place.directory / "markers/empty.txt").exists()


@pytest.mark.parametrize(("size", "fits"), [("300 kB", True), ("0.3MB", True), ("305 kB", False)])
def test_a_rounded_size_is_compared(place: Place, size: str, *, fits: bool) -> None:
    entry = place.entry(size=size)

    if fits:
        assert place.run(entry).count == 1
    else:
        error = place.failed(entry)
        assert (type(error), error.reason) == (UserCodeError, Reason.CHECKSUM)
        assert "has 300000 bytes instead of 305 kB, twice" in str(error)
        assert place.left() == []
