"""With each fault of a server, the right file is downloaded or none."""

from dataclasses import replace

import pytest
from data_server import Fault, Reply, cut, flip, page, status
from download_places import CONTENT, SHA256, Place

from stepkit.errors import ConfigurationError, Reason, ToolError, UserCodeError
from stepkit.steps.download_dataset import Outputs

pytestmark = pytest.mark.usefixtures("no_waiting")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (401, Reason.AUTH),
        (403, Reason.AUTH),
        (404, Reason.NOT_FOUND),
        (410, Reason.NOT_FOUND),
        (451, Reason.BAD_INPUT),
    ],
)
def test_a_refusal_is_not_retried(place: Place, code: int, reason: Reason) -> None:
    place.server.always = status(code)

    error = place.failed()

    assert (type(error), error.reason) == (ConfigurationError, reason)
    words = f"census.bin: {place.server.url}/census.bin: the server answered HTTP {code}"
    assert words in str(error)
    assert len(place.server.requests) == 1
    assert place.left() == []


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504, 520])
def test_a_server_that_is_busy_twice_is_asked_a_third_time(place: Place, code: int) -> None:
    place.server.faults = [status(code, Retry_After="1"), status(code)]

    assert place.run().downloaded == len(CONTENT)
    assert len(place.server.requests) == 3


def test_a_server_that_stays_busy_fails_after_the_last_attempt(place: Place) -> None:
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
def test_retry_after_is_respected_up_to_a_limit(
    place: Place, monkeypatch: pytest.MonkeyPatch, asked: str, least: float, most: float
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", pauses.append)
    place.server.faults = [status(429, Retry_After=asked)]

    place.run()

    assert len(pauses) == 1
    assert least <= pauses[0] <= most


def test_an_interrupted_download_continues_where_it_stopped(place: Place) -> None:
    place.server.faults = [cut(3), cut(3), cut(2)]

    outputs = place.run(attempts=1)  # an attempt that brought something does not count

    assert place.server.ranges == [None, "bytes=100000-", "bytes=166666-", "bytes=233333-"]
    assert all(request["If-Range"] == '"v1"' for request in place.server.requests[1:])
    assert outputs.downloaded == len(CONTENT)
    assert place.file.read_bytes() == CONTENT


BROKEN: dict[str, Fault] = {
    "reset": lambda reply: replace(reply, reset=True),
    "cut": cut(),
    "cut without length": lambda reply: replace(cut()(reply), sends_length=False),
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
def test_one_fault_is_recovered_from(place: Place, fault: str) -> None:
    place.server.faults = [BROKEN[fault]]

    place.run()

    assert place.file.read_bytes() == CONTENT
    assert place.left() == ["KEY", "KEY.json", "census.bin"]


@pytest.mark.parametrize("begun", [0, 100_000])
@pytest.mark.parametrize(
    "fault", [name for name in BROKEN if not name.startswith("cut") and "range" not in name]
)
def test_a_permanent_fault_fails_and_leaves_no_file(place: Place, fault: str, begun: int) -> None:
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
def test_a_range_that_was_not_asked_for_is_not_appended(place: Place, fault: str) -> None:
    place.begun(CONTENT[:100_000])
    place.server.always = BROKEN[fault]

    place.run()

    assert place.server.ranges == ["bytes=100000-", None]
    assert place.file.read_bytes() == CONTENT


def test_the_same_wrong_file_twice_is_not_retried(place: Place) -> None:
    place.server.always = flip

    error = place.failed()

    assert (type(error), error.reason) == (UserCodeError, Reason.CHECKSUM)
    words = f"not {SHA256}, twice: either the file was replaced or the manifest is wrong"
    assert words in str(error)
    assert len(place.server.requests) == 2
    assert place.left() == []


def test_a_checksum_that_a_flag_gave_is_named_with_its_param(place: Place) -> None:
    url, md5 = f"{place.server.url}/census.bin", "0" * 32

    error = place.failed(manifest=None, url=url, md5=md5)

    assert (type(error), error.reason) == (UserCodeError, Reason.CHECKSUM)
    assert f"not {md5}, twice: " in str(error)
    assert str(error).endswith(
        "either the file was replaced or --md5 (param dataset-md5 of a Pipeline) is wrong"
    )
    assert place.left() == []


def test_a_different_wrong_file_each_time_is_a_tool_error(place: Place) -> None:
    place.server.faults = [flip, lambda reply: flip(replace(reply, body=reply.body[::-1]))]

    error = place.failed()

    assert (type(error), error.reason) == (ToolError, Reason.CHECKSUM)
    assert "another one each time" in str(error)


def test_a_wrong_file_in_the_only_attempt_is_a_tool_error(place: Place) -> None:
    place.server.always = flip

    error = place.failed(attempts=1)

    assert (error.exit_code, error.reason) == (4, Reason.CHECKSUM)
    assert place.left() == []


def test_a_web_page_in_place_of_the_file_is_a_tool_error(place: Place) -> None:
    place.server.always = page

    error = place.failed(place.entry(), attempts=2)

    assert (type(error), error.reason) == (ToolError, Reason.NETWORK)
    assert "a web page in place of the file: does it ask for a login?" in str(error)


def test_a_web_page_can_be_a_dataset(place: Place) -> None:
    place.server.always = page

    place.run(place.entry("report.html"))

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
def test_any_partial_file_of_a_killed_run_ends_in_the_right_file(
    place: Place, content: bytes, etag: str, asked: str | None, server_is: str
) -> None:
    place.server.heeds_if_range = server_is != "deaf to If-Range"
    place.server.heeds_ranges = server_is != "deaf to Range"
    place.begun(content, etag)

    place.run()

    assert place.file.read_bytes() == CONTENT
    assert place.left() == ["KEY", "KEY.json", "census.bin"]
    assert place.server.ranges[0] == asked


def test_a_complete_partial_file_needs_no_request(place: Place) -> None:
    place.begun(CONTENT)

    assert place.run().downloaded == 0
    assert place.server.requests == []


def test_without_a_checksum_only_a_strong_validator_continues_a_partial_file(
    place: Place,
) -> None:
    entry = place.entry()
    for etag, asked in (('"v1"', "bytes=100000-"), ('W/"v1"', None)):
        place.server.etag = etag
        place.server.faults = [cut(), status(404)]
        place.failed(entry, cache=())
        place.server.requests.clear()
        place.run(entry, cache=())
        assert place.server.ranges == [asked]
        assert place.file.read_bytes() == CONTENT


def test_a_file_of_unknown_length_is_refused(place: Place) -> None:
    place.server.always = lambda reply: replace(reply, sends_length=False)

    message = place.refused(place.entry())

    assert "a truncated file would not be noticed" in message
    place.run(place.entry(size=len(CONTENT)))
    assert place.file.read_bytes() == CONTENT


def test_what_a_run_left_that_was_killed_at_its_end_is_removed(place: Place) -> None:
    place.run()
    place.begun(CONTENT[:5])  # its sidecar too
    place.file.unlink()

    place.run()

    assert place.left() == ["KEY", "KEY.json", "census.bin"]


def test_scratch_that_a_killed_run_left_beside_a_whole_file_is_removed(place: Place) -> None:
    place.run()
    left = place.file.with_name(f".{place.file.name}.stepkit-0123abcd")
    left.mkdir()

    assert place.run().count == 1

    assert not left.exists()
    assert place.file.read_bytes() == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_size_other_than_the_manifests_is_refused(
    place: Place, size: int, *, chunked: bool
) -> None:
    place.server.always = lambda reply: replace(reply, chunked=chunked)

    error = place.failed(place.entry(size=size), attempts=2)

    assert error.reason in {Reason.CHECKSUM, Reason.NETWORK}
    assert not place.file.exists()


def test_after_a_stall_the_rest_is_requested(place: Place) -> None:
    place.server.faults = [lambda reply: replace(cut()(reply), hangs=True)]

    place.run(stall_timeout=1.0, attempts=50)

    assert place.server.ranges[1] == "bytes=100000-"
    assert place.file.read_bytes() == CONTENT


def test_a_server_that_is_too_slow_fails(place: Place) -> None:
    place.server.always = lambda reply: replace(reply, drips=True)

    error = place.failed(stall_timeout=0.5, attempts=1)

    assert (type(error), error.reason) == (ToolError, Reason.NETWORK)
    assert place.part.stat().st_size > 0


def test_the_time_limit_ends_a_download_and_keeps_the_partial_file(place: Place) -> None:
    place.server.always = cut(2)

    error = place.failed(timeout=0.0)

    assert (error.exit_code, error.reason) == (4, Reason.TIMEOUT)
    assert "give --timeout more" in str(error)


def test_the_time_limit_counts_over_redirects(place: Place) -> None:
    def redirected_late(reply: Reply) -> Reply:
        place.server.released.wait(0.1)
        return status(302, Location="/census.bin")(reply)

    place.server.always = redirected_late

    error = place.failed(timeout=0.3, attempts=1)

    assert (error.exit_code, error.reason) == (4, Reason.TIMEOUT)
    assert "give --timeout more" in str(error)
    assert place.left() == []


def test_a_truncated_hdf5_file_is_noticed_without_a_checksum(place: Place) -> None:
    head = b"\x89HDF\r\n\x1a\n\x02\x08\x08\x00" + bytes(8) + b"\xff" * 8
    place.server.content = head + (400).to_bytes(8, "little") + bytes(300)

    error = place.failed(place.entry("census.h5ad"))
    assert error.reason is Reason.CHECKSUM
    assert "census.h5ad is cut off: 336 of 400 bytes are there" in str(error)

    place.server.content = CONTENT
    assert "is not an HDF5 file" in str(place.failed(place.entry("census.h5ad")))
    place.server.content = head + (336).to_bytes(8, "little") + bytes(300)
    assert place.run(place.entry("census.h5ad")).count == 1
