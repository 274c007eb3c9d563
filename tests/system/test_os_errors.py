"""What an error of the operating system means for a step."""

import errno
import os
import resource
from pathlib import Path

import commands
import pytest

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.system import os_errors


@pytest.mark.parametrize(
    ("number", "kind", "reason", "ending"),
    [
        (errno.EACCES, ConfigurationError, Reason.BAD_INPUT,
         f"Permission denied for uid {os.getuid()}: choose a path that is open to this user"),
        (errno.EROFS, ConfigurationError, Reason.BAD_INPUT,
         "Read-only file system: choose a writable path"),
        (errno.ENAMETOOLONG, ConfigurationError, Reason.BAD_INPUT,
         "File name too long: a name takes 255 bytes, and a path 4095"),
        (errno.EMFILE, ConfigurationError, Reason.BAD_INPUT,
         "Too many open files: let the process open more files (ulimit -n)"),
        (errno.ENOLCK, ConfigurationError, Reason.BAD_INPUT,
         "No locks available: mount the file system with locks, or choose another one"),
        (errno.ENOENT, ConfigurationError, Reason.BAD_INPUT, "No such file or directory"),
        (errno.EDQUOT, ToolError, Reason.DISK_FULL,
         "Disk quota exceeded: free some space and run again"),
        (errno.EIO, ToolError, Reason.TOOL_FAILED, "Input/output error"),
    ],
)  # fmt: skip
def test_an_error_has_a_class_and_a_remedy(
    number: int, kind: type[StepError], reason: Reason, ending: str
) -> None:
    error = os_errors.explain("cannot write /x", OSError(number, os.strerror(number)))

    assert type(error) is kind
    assert error.reason is reason
    assert str(error) == f"cannot write /x: {ending}"


def test_a_name_that_is_too_long_is_explained(tmp_path: Path) -> None:
    place = tmp_path / ("n" * 300)

    with pytest.raises(ConfigurationError) as caught, os_errors.explaining_the_rest():
        place.mkdir()

    assert str(caught.value).startswith(f"cannot use {place}: File name too long: ")
    assert list(tmp_path.iterdir()) == []


def test_both_names_of_a_move_are_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    names = tmp_path / "file", tmp_path / "file/x"

    with pytest.raises(ConfigurationError) as caught, os_errors.explaining_the_rest():
        names[0].rename(names[1])

    assert str(caught.value) == f"cannot use {names[0]} and {names[1]}: Not a directory"
    assert list(tmp_path.iterdir()) == [names[0]]


def test_a_directory_that_a_full_disk_does_not_take_is_explained(tmp_path: Path) -> None:
    with commands.mounted(tmp_path, "-t", "tmpfs", "-o", "nr_inodes=2", "tmpfs"):
        (tmp_path / "a").mkdir()
        with pytest.raises(ToolError) as caught, os_errors.explaining_the_rest():
            (tmp_path / "b").mkdir()
        assert list(tmp_path.iterdir()) == [tmp_path / "a"]

    assert caught.value.reason is Reason.DISK_FULL
    assert str(caught.value).startswith(f"cannot use {tmp_path}/b: No space left on device")


def test_a_pipe_for_which_no_descriptor_is_left_is_explained() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        with pytest.raises(ConfigurationError) as caught, os_errors.explaining_the_rest():
            os.pipe()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert str(caught.value) == (
        "the system refuses what is needed: Too many open files: "
        "let the process open more files (ulimit -n)"
    )


def test_an_error_that_the_machine_does_not_explain_passes(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), os_errors.explaining_the_rest():
        (tmp_path / "gone").read_text()
    with pytest.raises(PermissionError), os_errors.explaining_the_rest():
        raise PermissionError(errno.EPERM, "Operation not permitted")  # of a process, not a path
