from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stepkit.errors import ConfigurationError
from stepkit.tools import git_contents
from stepkit.tools.git_contents import PLACE, Moves


def tree(directory: Path) -> dict[str, str]:
    return {str(p.relative_to(directory)): p.read_text() for p in directory.rglob("*.txt")}


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def replace(directory: Path, moves: Moves) -> None:
    with git_contents.locked(directory), git_contents.scratch(directory) as new:
        (new / "a.txt").write_text("new")
        (new / "b.txt").write_text("new")
        git_contents.move(directory, new, moves)


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

    assert git_contents.everything(old) == ("a.txt", "c.txt")


def test_what_was_made_while_a_killed_run_waited_is_not_overwritten(old: Path) -> None:
    run = old / PLACE / "run-1"
    (run / "old").mkdir(parents=True)
    (run / "new").mkdir()
    (run / "old/c.txt").write_text("older")
    (run / "journal.json").write_text(
        '{"moved": false, "out": ["c.txt"], "into": [], "backup": ""}'
    )

    for _ in range(2):
        with (
            pytest.raises(ConfigurationError, match="remove one of the two and run again"),
            git_contents.locked(old),
        ):
            pass

    assert (old / "c.txt").read_text() == "old"
    (old / "c.txt").unlink()
    with git_contents.locked(old):
        assert tree(old) == {"a.txt": "old", "c.txt": "older"}
    assert not (old / PLACE).exists()


def test_one_run_at_a_time_holds_the_lock(old: Path) -> None:
    inside = 0
    most = 0

    def enter() -> None:
        nonlocal inside, most
        for _ in range(20):
            with git_contents.locked(old):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == 1
    assert names(old) == ["a.txt", "c.txt"]


@pytest.mark.slow
def test_killed_at_any_change_it_leaves_the_old_state_or_the_new(tmp_path: Path) -> None:
    """Each run is killed at each of its changes, and so is what puts it in order."""
    shared = Path("/dev/shm")
    place = (shared if os.access(shared, os.W_OK) else tmp_path) / f"stepkit-{os.getpid()}"
    script = Path(__file__).with_name("kill_moves.py")

    done = subprocess.run(
        [sys.executable, script, place], capture_output=True, text=True, check=True
    )
    place.rmdir()

    (said,) = done.stdout.splitlines()
    assert int(said.removeprefix("killed ").removesuffix(" times")) > 300
