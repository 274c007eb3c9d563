import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import commands
import pytest
from refusals import refusal
from samples import names

from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.system import atomic_files, permissions, rename_exchange


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a directory with a file "old" in it."""
    place = tmp_path / "place"
    place.mkdir()
    (place / "old").touch()
    return place


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    yield
    os.umask(before)


def test_writes_whole_with_the_permissions_of_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "new/report.json"

    with umask(0o027):
        atomic_files.write_atomically(path, "text")

    assert path.read_text() == "text"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(path.parent.iterdir()) == [path]


def test_what_it_writes_is_as_open_as_the_default_acl_says(tmp_path: Path) -> None:
    permissions.share(tmp_path)
    with umask(0o077):
        (tmp_path / "plain").touch()
        atomic_files.write_atomically(tmp_path / "whole", "x")

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


def test_names_files_that_are_near_or_of_the_same_kind(tmp_path: Path) -> None:
    for name in ("tol.ipynb", "ok8.ipynb", "a.txt"):
        (tmp_path / name).touch()

    assert atomic_files.near_names(tmp_path / "ok.ipynb") == " (did you mean ok8.ipynb?)"
    assert atomic_files.near_names(tmp_path / "none.ipynb") == " (beside it: ok8.ipynb, tol.ipynb)"
    assert atomic_files.near_names(tmp_path / "none.csv") == ""


def test_does_not_wait_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path / "pipe", tmp_path):
        assert "it is not a regular file" in refusal(atomic_files.read, path)
    with pytest.raises(ConfigurationError, match=r"cannot read .*gone: No such file"):
        atomic_files.read(tmp_path / "gone")


def test_replaces_a_directory_without_a_moment_in_which_it_is_missing(place: Path) -> None:
    with atomic_files.replacing(place) as new:
        (new / "new").touch()
        assert (place / "old").exists()

    assert names(place) == ["new"]
    assert names(place.parent) == ["place"]


@pytest.mark.parametrize("kind", ["atomic", "two renames"])
def test_keeps_the_replaced_directory_as_backup(
    place: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The file systems of test machines can exchange: a replaced function says that it cannot."""
    backup = place.with_name("backup")
    if kind == "two renames":
        monkeypatch.setattr(rename_exchange, "_exchanged", lambda *_: False)

    with atomic_files.replacing(place, backup=backup) as new:
        (new / "new").touch()

    assert names(backup) == ["old"]
    assert names(place) == ["new"]


@pytest.mark.parametrize("kind", ["atomic", "two renames"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_signal_around_the_exchange_loses_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, kind: str, moment: str
) -> None:
    """A replaced exchange function chooses the moment of the signal."""
    backup = place.with_name("backup")
    real = rename_exchange._exchanged

    def interrupted(one: Path, other: Path) -> bool:
        if moment == "before":
            raise SystemExit(143)
        if kind == "atomic":
            real(one, other)
            raise SystemExit(143)
        monkeypatch.setattr(Path, "rename", renaming)
        return False

    def renaming(path: Path, target: Path, rename: Any = Path.rename) -> Any:
        moved = rename(path, target)
        if path == place:
            raise SystemExit(143)
        return moved

    monkeypatch.setattr(rename_exchange, "_exchanged", interrupted)
    with (
        pytest.raises(SystemExit),
        atomic_files.replacing(place, backup=backup, keep=lambda _: False) as new,
    ):
        (new / "new").touch()

    kept = backup if moment == "after" and kind == "atomic" else place
    assert names(kept) == ["old"]
    assert {*names(place.parent)} <= {"place", "backup"}
    assert backup.exists() == (kept == backup)


def test_a_backup_that_cannot_be_named_so_leaves_the_directory_as_it_was(place: Path) -> None:
    with (
        pytest.raises(ConfigurationError, match="File name too long"),
        atomic_files.replacing(place, backup=place.with_name("x" * 256)) as new,
    ):
        (new / "new").touch()

    assert names(place) == ["old"]
    assert names(place.parent) == ["place"]


def test_keep_is_called_after_the_exchange(place: Path) -> None:
    backup = place.with_name("backup")
    asked: list[list[str]] = []

    def keep(old: Path) -> bool:
        asked.append(names(old))
        return False

    with atomic_files.replacing(place, backup=backup, keep=keep) as new:
        (new / "new").touch()
        (place / "late").touch()

    assert asked == [["late", "old"]]
    assert names(place.parent) == ["place"]


def test_an_error_in_the_block_leaves_the_directory_as_it_was(place: Path) -> None:
    def fail() -> None:
        with atomic_files.replacing(place) as new:
            (new / "new").touch()
            raise LookupError

    with pytest.raises(LookupError):
        fail()

    assert names(place) == ["old"]
    assert names(place.parent) == ["place"]


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
    assert "not emptying it" in refusal(atomic_files.empty, tmp_path / "alias")
    assert (tmp_path / "precious/file").exists()


def test_sees_a_bind_mount_of_the_same_disk(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with commands.mounted(place, "--bind", place):
        assert atomic_files.is_mount_point(place)
        assert not atomic_files.is_mount_point(tmp_path)


def test_a_writable_directory_is_left_as_it_was(tmp_path: Path) -> None:
    atomic_files.check_writable(tmp_path / "new")

    assert list((tmp_path / "new").iterdir()) == []
    assert "cannot write to /proc" in refusal(atomic_files.check_writable, Path("/proc"))


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

    message = refusal(atomic_files.write_atomically, pipe, "text")

    assert f"cannot write {pipe}: it exists and is not" in message
    assert pipe.is_fifo()
    assert names(tmp_path) == ["pipe"]
