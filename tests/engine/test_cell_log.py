"""What cells print reaches the log in lines and the files as it is."""

import logging
from contextlib import suppress
from pathlib import Path

import pytest

from stepkit.engine.cell_log import CellLog
from stepkit.errors import Reason, ToolError


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_the_lines_of_the_two_streams_are_kept_apart(caplog: pytest.LogCaptureFixture) -> None:
    printed = CellLog(log=True, stdout=None, stderr=None)
    printed.stream("stdout", "half of ")
    printed.stream("stderr", "an error\n")
    printed.stream("stdout", "a line\nrest")
    printed.cell_ended()
    printed.cell_ended()

    assert caplog.messages == ["| an error", "| half of a line", "| rest"]


def test_a_line_of_one_cell_does_not_run_into_the_next(caplog: pytest.LogCaptureFixture) -> None:
    printed = CellLog(log=True, stdout=None, stderr=None)
    printed.stream("stdout", "one")
    printed.cell_ended()
    printed.stream("stdout", "two\n")

    assert caplog.messages == ["| one", "| two"]


def test_only_the_plain_text_of_an_output_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    printed = CellLog(log=True, stdout=None, stderr=None)
    printed.output({"image/png": "eHh4", "text/html": "<b>", "text/plain": "<Figure>\n\nof two"})
    printed.output({"application/json": {"a": 1}, "text/plain": ["odd"]})

    assert caplog.messages == ["| <Figure>", "| of two"]


def test_nothing_is_logged_unless_asked(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with (tmp_path / "err").open("w+") as file:
        printed = CellLog(log=False, stdout=None, stderr=file)
        printed.stream("stderr", "one\rtwo\n")
        printed.stream("stdout", "three\n")
        printed.output({"text/plain": "four"})
        printed.cell_ended()
        file.seek(0)

        assert (tmp_path / "err").read_bytes() == b"one\rtwo\n"
    assert caplog.messages == []


def test_a_file_on_a_full_disk_is_named(small_disk: Path) -> None:
    path = small_disk / "stdout"
    file = path.open("w")
    printed = CellLog(log=False, stdout=file, stderr=None)

    with pytest.raises(ToolError, match=f"cannot write {path}: No space left") as caught:
        printed.stream("stdout", "x" * 2_000_000)
    with suppress(OSError):
        file.close()

    assert caught.value.reason == Reason.DISK_FULL
