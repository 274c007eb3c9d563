import errno
import os
import stat
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.system import atomic_files, permissions, rename_exchange


def test_writes_whole_with_the_permissions_of_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "new/report.json"
    before = os.umask(0o027)
    try:
        atomic_files.write_atomically(path, "text")
    finally:
        os.umask(before)

    assert path.read_text() == "text"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(path.parent.iterdir()) == [path]


def test_what_it_writes_is_as_open_as_the_default_acl_of_the_directory_says(
    tmp_path: Path,
) -> None:
    permissions.share(tmp_path)
    before = os.umask(0o077)
    try:
        (tmp_path / "plain").touch()
        atomic_files.write_atomically(tmp_path / "whole", "x")
    finally:
        os.umask(before)

    plain, whole = ((tmp_path / name).stat().st_mode for name in ("plain", "whole"))
    assert oct(whole) == oct(plain)


def test_a_full_disk_keeps_the_older_file(small_disk: Path) -> None:
    path = small_disk / "report.json"
    atomic_files.write_atomically(path, "older")

    with pytest.raises(ToolError, match="No space left on device: free some space") as caught:
        atomic_files.write_atomically(path, "x" * 4_000_000)

    assert caught.value.reason == Reason.DISK_FULL
    assert caught.value.exit_code == 4
    assert path.read_text() == "older"
    assert list(small_disk.iterdir()) == [path]


def test_a_denied_write_names_the_path_and_the_user() -> None:
    error = atomic_files.os_error(
        "cannot write /x", PermissionError(errno.EACCES, "Permission denied")
    )

    assert type(error) is ConfigurationError
    assert str(error) == (
        f"cannot write /x: Permission denied for uid {os.getuid()}: choose a writable path"
    )


def test_does_not_wait_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(ConfigurationError, match="it is not a regular file"):
            atomic_files.read(path)
    with pytest.raises(ConfigurationError, match=r"cannot read .*gone: No such file"):
        atomic_files.read(tmp_path / "gone")


def test_replaces_a_directory_without_a_moment_in_which_it_is_missing(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "old").touch()

    with atomic_files.replacing(place) as new:
        (new / "new").touch()
        assert (place / "old").exists()

    assert [path.name for path in place.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [place]


def test_keeps_the_replaced_directory_as_backup(tmp_path: Path) -> None:
    place, backup = tmp_path / "place", tmp_path / "backup"
    place.mkdir()
    (place / "old").touch()

    with atomic_files.replacing(place, backup=backup) as new:
        (new / "new").touch()

    assert [path.name for path in backup.iterdir()] == ["old"]


@pytest.mark.parametrize("kind", ["atomic", "two renames"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_signal_around_the_exchange_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, moment: str
) -> None:
    """A replaced exchange function chooses the moment of the signal."""
    place, backup = tmp_path / "place", tmp_path / "backup"
    place.mkdir()
    (place / "old").touch()
    real = rename_exchange._exchanged

    def interrupted(one: Path, other: Path) -> bool:
        if moment == "before":
            raise SystemExit(143)
        if kind == "atomic":
            real(one, other)
            raise SystemExit(143)
        monkeypatch.setattr(Path, "rename", stop_after(Path.rename, destination_moved=place))
        return False

    def stop_after(rename: Callable[[Path, Path], Path], destination_moved: Path) -> Any:
        def renaming(path: Path, target: Path) -> Path:
            moved = rename(path, target)
            if path == destination_moved:
                raise SystemExit(143)
            return moved

        return renaming

    monkeypatch.setattr(rename_exchange, "_exchanged", interrupted)
    with (
        pytest.raises(SystemExit),
        atomic_files.replacing(place, backup=backup, keep=lambda _: False) as new,
    ):
        (new / "new").touch()

    kept = backup if moment == "after" and kind == "atomic" else place
    assert [path.name for path in kept.iterdir()] == ["old"]
    assert {path.name for path in tmp_path.iterdir()} <= {"place", "backup"}
    assert backup.exists() == (kept == backup)


def test_a_backup_that_cannot_be_named_so_leaves_the_directory_as_it_was(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "old").touch()

    with (
        pytest.raises(ConfigurationError, match="File name too long"),
        atomic_files.replacing(place, backup=tmp_path / ("x" * 256)) as new,
    ):
        (new / "new").touch()

    assert [path.name for path in place.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [place]


def test_keep_is_called_after_the_exchange(tmp_path: Path) -> None:
    place, backup = tmp_path / "place", tmp_path / "backup"
    place.mkdir()
    asked: list[list[str]] = []

    def keep(old: Path) -> bool:
        asked.append([path.name for path in old.iterdir()])
        return False

    with atomic_files.replacing(place, backup=backup, keep=keep) as new:
        (new / "new").touch()
        (place / "late").touch()

    assert asked == [["late"]]
    assert list(tmp_path.iterdir()) == [place]


def test_without_an_atomic_exchange_two_renames_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file systems of test machines can exchange: a replaced function says that it cannot."""
    place, backup = tmp_path / "place", tmp_path / "backup"
    place.mkdir()
    (place / "old").touch()
    monkeypatch.setattr(rename_exchange, "_exchanged", lambda *_: False)

    with atomic_files.replacing(place, backup=backup) as new:
        (new / "new").touch()

    assert [path.name for path in backup.iterdir()] == ["old"]
    assert [path.name for path in place.iterdir()] == ["new"]


def test_removes_the_scratch_of_this_destination_alone(tmp_path: Path) -> None:
    others = {".place.stepkit-other.stepkit-abcdefgh", ".place.stepkit-notes.txt", "place"}
    for name in (".place.stepkit-abc_1234", *others):
        (tmp_path / name / "new").mkdir(parents=True)

    atomic_files.remove_scratch(tmp_path / "place")

    assert {path.name for path in tmp_path.iterdir()} == others


def test_an_error_in_the_block_leaves_the_directory_as_it_was(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "old").touch()

    def fail() -> None:
        with atomic_files.replacing(place) as new:
            (new / "new").touch()
            raise LookupError

    with pytest.raises(LookupError):
        fail()

    assert [path.name for path in place.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [place]


def test_emptying_a_directory_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").touch()
    place = tmp_path / "place"
    (place / "sub").mkdir(parents=True)
    (place / "link").symlink_to(tmp_path / "precious")

    atomic_files.empty(place)

    assert list(place.iterdir()) == []
    assert (tmp_path / "precious/file").exists()
    (tmp_path / "alias").symlink_to(tmp_path / "precious")
    with pytest.raises(ConfigurationError, match="not emptying it"):
        atomic_files.empty(tmp_path / "alias")
    assert (tmp_path / "precious/file").exists()


def test_sees_a_bind_mount_of_the_same_disk(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    command = ["mount", "--bind", str(place), str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot bind mount here: {done.stderr.strip()}")

    try:
        assert atomic_files.is_mount_point(place)
        assert not atomic_files.is_mount_point(tmp_path)
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_writable_directory_is_left_as_it_was(tmp_path: Path) -> None:
    atomic_files.check_writable(tmp_path / "new")

    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(ConfigurationError, match="cannot write to /proc"):
        atomic_files.check_writable(Path("/proc"))


def test_a_file_that_does_not_fit_when_it_is_closed_is_an_error(small_disk: Path) -> None:
    stack = ExitStack()
    file = atomic_files.opened(stack, small_disk / "new/log")
    assert file
    file.write("half of a \ud800 character")
    with pytest.raises(OSError, match="No space"):
        (small_disk / "other").write_bytes(b"x" * 2_000_000)
    file.write("x" * 5000)

    with pytest.raises(ToolError, match=r"cannot write .*log: No space left") as caught:
        stack.close()

    assert caught.value.reason == Reason.DISK_FULL
    assert file.closed


def test_a_pipe_or_a_device_is_never_replaced_by_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    with pytest.raises(ConfigurationError, match=f"cannot write {pipe}: it exists and is not"):
        atomic_files.write_atomically(pipe, "text")

    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
