import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import commands
import pytest
from refusals import refusal
from samples import names

from stepkit.errors import Cancelled, ConfigurationError, ToolError
from stepkit.git import swap_contents
from stepkit.git.swap_contents import PLACE, Moves


def tree(directory: Path) -> dict[str, str]:
    return {str(p.relative_to(directory)): p.read_text() for p in directory.rglob("*.txt")}


def recover(directory: Path) -> None:
    """Finish what a killed run left."""
    with swap_contents.locked(directory):
        pass


def killed_run(directory: Path, journal: str, **old: str) -> None:
    """Write what a killed run leaves: its journal, and the files that it moved out."""
    run = directory / PLACE / "run-1"
    (run / "old").mkdir(parents=True)
    (run / "new").mkdir()
    for name, text in old.items():
        (run / "old" / name).write_text(text)
    (run / "journal.json").write_text(journal, errors="surrogateescape")


def replace(directory: Path, moves: Moves) -> None:
    with swap_contents.locked(directory), swap_contents.scratch(directory) as new:
        (new / "a.txt").write_text("new")
        (new / "b.txt").write_text("new")
        swap_contents.move(directory, new, moves)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    directory = tmp_path / "old"
    directory.mkdir()
    (directory / "a.txt").write_text("old")
    (directory / "c.txt").write_text("old")
    return directory


def test_entries_are_exchanged_and_nothing_else_stays_behind(old: Path) -> None:
    replace(old, Moves(out=("a.txt",), into=("a.txt", "b.txt")))

    assert tree(old) == {"a.txt": "new", "b.txt": "new", "c.txt": "old"}
    assert names(old) == ["a.txt", "b.txt", "c.txt"]


def test_a_failure_puts_everything_back(old: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot move .*/gone\.txt: No such file"):
        replace(old, Moves(out=("a.txt", "gone.txt"), into=("a.txt", "b.txt")))

    assert tree(old) == {"a.txt": "old", "c.txt": "old"}
    assert names(old) == ["a.txt", "c.txt"]


def test_what_belongs_to_the_file_system_or_is_a_backup_stays(old: Path) -> None:
    for name in ("lost+found", ".snapshot", "x.backup-20260102T030405000006Z", PLACE):
        (old / name).mkdir()

    assert swap_contents.replaceable(old) == ("a.txt", "c.txt")


def test_files_made_after_a_kill_are_not_overwritten(old: Path) -> None:
    journal = '{"moved": false, "out": ["c.txt"], "into": [], "backup": ""}'
    killed_run(old, journal, **{"c.txt": "older"})

    for _ in range(2):
        assert "remove one of the two and run again" in refusal(recover, old)

    assert (old / "c.txt").read_text() == "old"
    (old / "c.txt").unlink()
    with swap_contents.locked(old):
        assert tree(old) == {"a.txt": "old", "c.txt": "older"}
    assert not (old / PLACE).exists()


def test_one_run_at_a_time_holds_the_lock(old: Path) -> None:
    entered: list[int] = []

    def enter() -> None:
        for number in range(25):
            with swap_contents.locked(old):
                (old / "inside").mkdir()  # fails while another thread is inside
                entered.append(number)
                (old / "inside").rmdir()

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(enter)

    assert len(entered) == 100
    assert names(old) == ["a.txt", "c.txt"]


@pytest.mark.slow
def test_a_kill_at_any_change_leaves_the_old_state_or_the_new(tmp_path: Path) -> None:
    """Each run is killed at each of its changes, and so is its recovery."""
    shared = Path("/dev/shm")
    place = (shared if os.access(shared, os.W_OK) else tmp_path) / f"stepkit-{os.getpid()}"

    done = commands.python(Path(__file__).with_name("kill_moves.py"), place)
    place.rmdir()
    assert done.returncode == 0, done.stderr

    (said,) = done.stdout.splitlines()
    assert int(said.removeprefix("killed ").removesuffix(" times")) > 300


def test_a_stop_between_moves_is_undone(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrapper chooses the moment; stepkit raises this exception at SIGTERM."""
    rename = swap_contents._rename

    def stopping(source: Path, target: Path) -> None:
        if source.name == "b.txt" and target.parent == old:
            monkeypatch.setattr(swap_contents, "_rename", rename)
            raise Cancelled
        rename(source, target)

    monkeypatch.setattr(swap_contents, "_rename", stopping)
    with pytest.raises(Cancelled):
        replace(old, Moves(out=("a.txt", "c.txt"), into=("a.txt", "b.txt")))

    assert tree(old) == {"a.txt": "old", "c.txt": "old"}
    assert names(old) == ["a.txt", "c.txt"]


def test_a_journal_that_leads_out_of_its_directory_is_not_followed(old: Path) -> None:
    killed_run(old, '{"moved": false, "out": ["../x"], "into": [], "backup": ""}', x="planted")

    assert "journal.json was not written by stepkit" in refusal(recover, old)
    assert not (old.parent / "x").exists()


@pytest.mark.parametrize("text", ["", "[]", '{"moved": false}', "\udcff"])
def test_an_invalid_journal_is_refused(old: Path, text: str) -> None:
    killed_run(old, text)

    assert "journal.json was not written by stepkit" in refusal(recover, old)


def test_a_link_in_the_place_of_its_directory_is_refused(old: Path) -> None:
    (old.parent / "elsewhere/run-1").mkdir(parents=True)
    (old / PLACE).symlink_to(old.parent / "elsewhere")

    assert "is a symbolic link" in refusal(recover, old)
    assert names(old.parent / "elsewhere") == ["run-1"]


def test_a_full_disk_leaves_everything_as_it_was(small_disk: Path) -> None:
    (small_disk / "a.txt").write_text("old")
    with swap_contents.locked(small_disk), swap_contents.scratch(small_disk) as new:
        with suppress(OSError), (new / "a.txt").open("wb") as file:
            while True:
                file.write(b"x" * 4096)
                file.flush()
        with pytest.raises(ToolError, match="free some space"):
            swap_contents.move(small_disk, new, Moves(out=("a.txt",), into=("a.txt",)))

    assert tree(small_disk) == {"a.txt": "old"}
    assert names(small_disk) == ["a.txt"]


def test_files_that_cannot_be_removed_are_named_and_tried_again(
    old: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if os.getuid() != 0 or not shutil.which("chattr"):
        pytest.skip("only root can make an immutable file")
    (old / "d").mkdir()
    (old / "d/stuck").touch()
    if commands.run("chattr", "+i", old / "d/stuck").returncode:
        pytest.skip("this file system has no immutable files")
    try:
        replace(old, Moves(out=("d",), into=("b.txt",)))
        (stuck,) = old.rglob("stuck")
        recover(old)
    finally:
        subprocess.run(["chattr", "-i", *map(str, old.rglob("stuck"))], check=True)

    assert (old / "b.txt").read_text() == "new"
    assert stuck.is_relative_to(old / PLACE)
    assert caplog.text.count("cannot remove") == 2
    assert "stuck" in caplog.text
    recover(old)
    assert not (old / PLACE).exists()
