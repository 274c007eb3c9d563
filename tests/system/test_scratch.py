import os
import signal
from pathlib import Path

import pytest
from children import child
from samples import names

from stepkit.system import atomic_files, scratch


def held(kind: str, target: Path) -> str:
    """Return code that makes scratch of ``target``, says "ready", and keeps it."""
    return f"""
from pathlib import Path
from stepkit.system import scratch
with scratch.{kind}(Path({str(target)!r})):
    print("ready", flush=True)
    input()
"""


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_scratch_that_another_process_holds_stays_until_that_is_killed(
    tmp_path: Path, kind: str
) -> None:
    with child(held(kind, tmp_path / "big.bin")) as other:
        [kept] = names(tmp_path)
        scratch.remove_left(tmp_path)
        assert names(tmp_path) == [kept]
        assert scratch.in_use(tmp_path / kept)
        other.send_signal(signal.SIGKILL)
        other.wait()

    scratch._cleared.clear()  # as in the next process
    scratch.remove_left(tmp_path)

    assert scratch.is_scratch(kept)
    assert kept.startswith(".big.bin.stepkit-")
    assert names(tmp_path) == []


def test_the_next_file_that_is_written_removes_what_a_killed_run_left(tmp_path: Path) -> None:
    (tmp_path / ".report.json.stepkit-a1b2c3d4").write_text("{")
    (tmp_path / ".checkout.stepkit-a1b2c3_4/new").mkdir(parents=True)
    (tmp_path / ".checkout.stepkit-notes.txt").write_text("a user's")
    (tmp_path / ".report.json-a1b2c3d4").write_text("a user's")

    atomic_files.write_atomically(tmp_path / "other.json", "{}")

    kept = [".checkout.stepkit-notes.txt", ".report.json-a1b2c3d4", "other.json"]
    assert names(tmp_path) == kept


def test_what_may_be_the_only_copy_of_a_directory_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / ".source.stepkit-a1b2c3d4/old").mkdir(parents=True)

    scratch.remove_left(tmp_path)
    assert names(tmp_path) == [".source.stepkit-a1b2c3d4"]

    (tmp_path / "source").mkdir()
    scratch._cleared.clear()
    scratch.remove_left(tmp_path)
    assert names(tmp_path) == ["source"]


def test_scratch_that_is_removed_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replaced lock function removes the file, as another process would."""
    hold = scratch.hold
    removed: list[Path] = []

    def remove_first(handle: int) -> None:
        hold(handle)
        if not removed:
            removed.append(Path(f"/proc/self/fd/{handle}").readlink())
            removed[0].unlink()

    monkeypatch.setattr(scratch, "hold", remove_first)
    atomic_files.write_atomically(tmp_path / "a", "text")

    assert len(removed) == 1
    assert (tmp_path / "a").read_text() == "text"
    assert names(tmp_path) == ["a"]


def test_a_name_of_255_bytes_has_scratch_too(tmp_path: Path) -> None:
    for name in ("x" * 255, "\u00e9" * 127):
        atomic_files.write_atomically(tmp_path / name, "text")
        assert (tmp_path / name).read_text() == "text"
        assert scratch.is_scratch(scratch.name_for(name))


def test_removes_the_scratch_of_one_target_alone(tmp_path: Path) -> None:
    others = {".place.stepkit-other.stepkit-abcdefgh", ".place.stepkit-notes.txt", "place"}
    for name in (".place.stepkit-abc_1234", *others):
        (tmp_path / name / "new").mkdir(parents=True)

    scratch.remove_of(tmp_path / "place")

    assert {*names(tmp_path)} == others


def test_links_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / ".a.stepkit-a1b2c3d4").symlink_to("mine")

    scratch.remove_left(tmp_path)

    assert names(tmp_path) == [".a.stepkit-a1b2c3d4", "mine"]
    assert os.path.lexists(tmp_path / ".a.stepkit-a1b2c3d4")
