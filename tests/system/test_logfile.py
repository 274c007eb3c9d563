"""The log of a step on a disk that fills up: lines are lost, and the step goes on."""

import logging
from pathlib import Path

import commands
import pytest
from samples import fill_disk, write_notebook

from stepkit.errors import ConfigurationError
from stepkit.system import logfile

logger = logging.getLogger("stepkit.test")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_what_is_logged_is_written(tmp_path: Path) -> None:
    # To the handler alone: a parallel test run cannot report a lone surrogate.
    record = logger.makeRecord(logger.name, logging.INFO, "", 0, "one \udc80", (), None)
    with logfile.recording(tmp_path / "new/a.log") as handler:
        handler.handle(record)

    assert (tmp_path / "new/a.log").read_text().endswith("Z INFO one \\udc80\n")


@pytest.mark.parametrize("exists", [True, False])
def test_a_log_takes_the_place_of_a_link(tmp_path: Path, exists: bool) -> None:  # noqa: FBT001
    (tmp_path / "a.log").symlink_to(tmp_path / "other")
    if exists:
        (tmp_path / "other").write_text("kept")

    with logfile.recording(tmp_path / "a.log"):
        logger.warning("one")

    assert (tmp_path / "a.log").read_text().endswith("one\n")
    assert not exists or (tmp_path / "other").read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir() if path.is_symlink()] == []


def test_a_link_to_an_open_file_is_written_to(tmp_path: Path) -> None:
    with (tmp_path / "other").open("w") as file:
        (tmp_path / "a.log").symlink_to(f"/proc/self/fd/{file.fileno()}")

        with logfile.recording(tmp_path / "a.log"):
            logger.warning("one")

    assert (tmp_path / "other").read_text().endswith("one\n")


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with (
        pytest.raises(ConfigurationError, match="cannot write the log"),
        logfile.recording(tmp_path / "file/a.log"),
    ):
        pass


def test_a_full_disk_causes_one_warning_and_the_step_goes_on(
    small_disk: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    filler = small_disk / "filler"
    fill_disk(filler)
    for left in [h for h in logging.root.handlers if type(h) is logging.StreamHandler]:
        logging.root.removeHandler(left)  # left by a command of another test, its stderr is closed

    with logfile.recording(small_disk / "a.log"):
        for number in range(5000):
            logger.info("line %d", number)
        filler.unlink()
        logger.info("the last line")

    lost = "is incomplete: No space left on device; the work goes on"
    assert warnings(caplog) == [f"the log {small_disk}/a.log {lost}"]
    assert "Traceback" not in capsys.readouterr().err
    assert (small_disk / "a.log").read_text().endswith("INFO the last line\n")


def test_a_disk_that_stays_full_causes_a_warning_when_the_log_is_closed(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill_disk(small_disk / "filler")

    with logfile.recording(small_disk / "a.log") as handler:
        assert isinstance(handler, logging.FileHandler)
        assert handler.stream is not None
        handler.stream.write("left in the buffer")

    (warning,) = warnings(caplog)
    assert "is incomplete: No space left" in warning
    assert handler not in logging.getLogger().handlers


def test_a_bug_in_a_message_is_still_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with logfile.recording(tmp_path / "a.log") as handler:
        handler.handle(logging.LogRecord("x", logging.INFO, "f", 1, "%d", ("text",), None))

    assert "TypeError: %d format" in capsys.readouterr().err
    assert warnings(caplog) == []


def test_a_notebook_passes_when_its_log_fills_the_disk(tmp_path: Path, small_disk: Path) -> None:
    fill_disk(small_disk / "filler")
    notebook = write_notebook(tmp_path / "a.ipynb", "print('ran')")
    flags = [f"--notebook={notebook}", f"--output={tmp_path}/out.ipynb", f"--log={small_disk}/log"]

    done = commands.stepkit("execute-notebook", *flags)

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("is incomplete: No space left on device; the work goes on") == 1
    assert "1 of 1 cells ran" in done.stderr
    assert "ran" in (tmp_path / "out.ipynb").read_text()
