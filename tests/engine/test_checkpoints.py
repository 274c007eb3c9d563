"""The file is whole at every moment, and each cell is encoded once for each of its states."""

import errno
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import pytest
from file_systems import without_nameless_files
from runs import as_stored
from waiting import until

from stepkit.engine import checkpoints, notebook_json
from stepkit.engine.checkpoints import Checkpoints
from stepkit.engine.staged_file import StagedFile
from stepkit.errors import ConfigurationError, Reason, ToolError


def book(cells: int) -> Any:
    nodes = [nbformat.v4.new_code_cell(f"{n}", id=f"cell-{n}") for n in range(cells)]
    return nbformat.v4.new_notebook(cells=nodes)


def prints(node: Any, text: str) -> None:
    node.outputs.append(nbformat.v4.new_output("stream", text=text))


class Run:
    """A notebook that is saved while its cells are run by hand."""

    def __init__(self, nb: Any, target: Path, interval: float = 0.01) -> None:
        self.nb = nb
        self.target = target
        self.flushed = 0
        self.saving = Checkpoints(nb, target, interval=interval, flush=self._flush)
        self.saving.begin()

    def _flush(self) -> None:
        self.flushed += 1

    def cell(self, number: int, text: str = "") -> None:
        node = self.nb.cells[number]
        with self.saving.lock:
            self.saving.cell_started(node)
        with self.saving.lock:
            prints(node, text or f"output {number}\n")
            self.saving.cell_finished(node)

    def change(self, number: int, text: str) -> None:
        with self.saving.lock:
            prints(self.nb.cells[number], text)
            self.saving.cell_changed(self.nb.cells[number])

    def is_saved(self) -> bool:
        with self.saving.lock:
            return self.target.exists() and self.target.read_bytes() == as_stored(self.nb)

    def wait_until_saved(self) -> None:
        until(self.is_saved)

    def cells(self, *numbers: int, save_each: bool = False) -> None:
        """Run these cells, and wait for the checkpoint after each or after none of them."""
        for number in numbers:
            self.cell(number)
            if save_each:
                self.wait_until_saved()

    def finish(self) -> None:
        self.saving.finish()
        assert self.is_saved()


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note the id of each cell that is encoded."""
    ids: list[str] = []
    really = notebook_json.cell

    def counted(node: Any) -> bytes:
        ids.append(node["id"])
        return really(node)

    monkeypatch.setattr(notebook_json, "cell", counted)
    return ids


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let checkpoints take all the time there is, so that there are many."""
    monkeypatch.setattr(checkpoints, "SHARE", 1.0)


@pytest.fixture(params=["nameless", "named", "named, copied by hand"])
def _file_systems(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behave as NFS, which knows no O_TMPFILE, and as what cannot copy within the kernel."""
    if "named," in request.param or request.param == "named":
        without_nameless_files(monkeypatch)
    if "by hand" in request.param:

        def refused(*_: Any, **__: Any) -> int:
            raise OSError(errno.EXDEV, "Invalid cross-device link")

        monkeypatch.setattr(os, "copy_file_range", refused)


@pytest.mark.usefixtures("_file_systems", "eager")
def test_the_file_is_what_nbformat_writes_after_every_cell(target: Path) -> None:
    run = Run(book(5), target)
    assert run.is_saved()
    run.cells(*range(5), save_each=True)

    run.finish()


@pytest.mark.usefixtures("eager")
def test_a_reader_never_sees_a_torn_file(target: Path) -> None:
    run = Run(book(30), target, interval=0.001)
    seen = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            content = target.read_bytes()
            seen.add(len(nbformat.reads(content.decode(), as_version=4).cells[29].outputs))
            assert content.endswith(b"}\n")

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(30):
        run.cell(number, "x" * 20_000)
        time.sleep(0.003)
    run.finish()
    done.set()
    reader.join()
    assert seen <= {0, 1}


@pytest.mark.usefixtures("eager")
def test_a_cell_is_encoded_before_it_runs_and_when_it_has_ended(
    target: Path, encoded: list[str]
) -> None:
    run = Run(book(6), target)
    run.cells(*range(6), save_each=True)
    run.finish()

    assert sorted(encoded) == sorted([f"cell-{n}" for n in range(6)] * 2)


def test_cells_are_encoded_once_even_when_nothing_is_saved_in_between(
    target: Path, encoded: list[str]
) -> None:
    run = Run(book(6), target, interval=0)
    first = target.read_bytes()
    for number in range(6):
        run.cell(number)
        assert target.read_bytes() == first
    run.finish()

    assert sorted(encoded) == sorted([f"cell-{n}" for n in range(6)] * 2)


@pytest.mark.usefixtures("eager")
def test_the_growing_output_of_a_long_cell_is_saved_while_it_runs(target: Path) -> None:
    run = Run(book(2), target)
    run.saving.cell_started(run.nb.cells[0])
    for _ in range(3):
        with run.saving.lock:
            prints(run.nb.cells[0], "more\n")
        run.wait_until_saved()

    assert run.flushed >= 4
    run.saving.cell_finished(run.nb.cells[0])
    run.finish()


def test_a_cell_that_finishes_while_the_file_is_rewritten_is_saved_once(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(book(4), target, interval=0)
    run.saving.pause()  # the moment is played, in this thread
    run.cells(0, 1)
    run.saving._save()
    run.change(0, "late\n")  # so that all is written anew
    run.saving.cell_started(run.nb.cells[2])
    really = run.saving._file._rewritten

    def finishing(*states: Any) -> StagedFile:
        run.cell(2)
        return really(*states)

    monkeypatch.setattr(run.saving._file, "_rewritten", finishing)
    run.saving._save()
    run.saving._save()

    assert run.is_saved()
    run.finish()


@pytest.mark.usefixtures("_file_systems", "eager")
@pytest.mark.parametrize("changed", [0, 1, 2, 3])
def test_a_cell_that_changes_after_its_end_is_saved_again(target: Path, changed: int) -> None:
    run = Run(book(6), target)
    run.cells(*range(3))
    run.wait_until_saved()
    run.change(changed, "late\n")
    run.wait_until_saved()
    for number in range(3, 6):
        run.cell(number)
        run.change(changed, "later\n")
        run.wait_until_saved()

    run.finish()


def test_a_cell_that_changes_before_it_was_first_saved_is_saved_as_it_is(target: Path) -> None:
    run = Run(book(3), target, interval=0)
    run.cell(0)
    run.change(0, "late\n")
    run.cell(1)
    until(lambda: not run.saving._finished)
    run.change(0, "later\n")

    run.finish()


@pytest.mark.parametrize("changed", [0, 1])
def test_a_change_while_the_file_is_being_written_is_not_lost(
    target: Path, monkeypatch: pytest.MonkeyPatch, changed: int
) -> None:
    """The copy of a large notebook takes seconds, and the kernel does not wait for it."""
    run = Run(book(3), target, interval=0)
    run.cells(0, 1)
    run.saving.pause()
    run.saving._save()
    really = StagedFile.copy

    def changed_meanwhile(staged: StagedFile, source: StagedFile, offset: int, length: int) -> None:
        run.change(changed, "meanwhile\n")
        really(staged, source, offset, length)

    with monkeypatch.context() as patched:
        patched.setattr(StagedFile, "copy", changed_meanwhile)
        run.saving._save()
        run.cell(2)
        run.saving._save()

    run.finish()


@pytest.mark.usefixtures("eager")
def test_changes_and_ends_at_any_moment_lose_nothing(target: Path) -> None:
    run = Run(book(40), target, interval=0.001)
    for number in range(40):
        run.cell(number, "x" * 1000)
        run.change(number // 2, "late\n")
        run.change(number, "late\n")

    run.wait_until_saved()
    assert run.saving._thread.is_alive()
    run.finish()


@pytest.mark.usefixtures("_file_systems")
def test_cells_that_are_inserted_at_the_end_are_saved_in_their_places(target: Path) -> None:
    run = Run(book(4), target)
    run.cells(*range(3))
    run.wait_until_saved()
    run.saving.pause()
    for index in (2, 0):
        run.nb.cells.insert(index, nbformat.v4.new_markdown_cell("mark", id=f"mark-{index}"))

    run.finish()


def test_a_notebook_without_cells_is_saved(target: Path) -> None:
    Run(book(0), target).finish()


def test_finished_cells_are_copied_and_not_encoded_again_when_others_change(
    target: Path, encoded: list[str]
) -> None:
    run = Run(book(50), target, interval=0)
    run.cells(*range(50))
    run.saving.pause()
    run.saving._save()
    encoded.clear()
    run.change(7, "late\n")
    run.finish()

    assert encoded == ["cell-7"]


def test_a_full_disk_keeps_the_last_file_and_what_fits_at_the_end(small_disk: Path) -> None:
    target = small_disk / "executed.ipynb"
    run = Run(book(3), target)
    run.cell(0, "a" * 100_000)
    run.wait_until_saved()
    run.cell(1, "b" * 2_000_000)
    time.sleep(0.2)
    assert len(nbformat.read(target, as_version=4).cells[0].outputs) == 1

    with pytest.raises(ToolError, match=f"cannot write {target}: No space left") as caught:
        run.finish()

    assert caught.value.reason == Reason.DISK_FULL
    left = nbformat.read(target, as_version=4)
    assert left.cells[0].outputs[0].text == "a" * 100_000
    assert "there is no space left" in left.cells[1].outputs[0].text
    assert list(small_disk.iterdir()) == [target]


def test_a_full_disk_keeps_what_the_last_checkpoint_had(small_disk: Path) -> None:
    target = small_disk / "executed.ipynb"
    run = Run(book(2), target)
    run.cell(0, "a" * 300_000)
    run.wait_until_saved()
    with suppress(OSError):
        (small_disk / "other").write_bytes(b"x" * 2_000_000)
    run.cell(1, "b" * 300_000)

    with pytest.raises(ToolError, match="No space left"):
        run.finish()

    left = nbformat.read(target, as_version=4)
    assert left.cells[0].outputs[0].text == "a" * 300_000
    assert {path.name for path in small_disk.iterdir()} == {"executed.ipynb", "other"}


def test_saving_goes_on_when_a_full_disk_has_space_again(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target = small_disk / "executed.ipynb"
    run = Run(book(4), target)
    run.cell(0)
    run.wait_until_saved()
    other = small_disk / "other"
    with suppress(OSError):
        other.write_bytes(b"x" * 2_000_000)
    run.cell(1, "b" * 300_000)
    until(lambda: "cannot save" in caplog.text)
    other.unlink()
    run.wait_until_saved()
    run.cell(2)
    run.wait_until_saved()

    run.finish()
    assert list(small_disk.iterdir()) == [target]


@pytest.mark.usefixtures("_file_systems")
def test_a_directory_that_the_notebook_removed_is_made_again(target: Path) -> None:
    run = Run(book(3), target, interval=0)
    run.cell(0)
    until(lambda: not run.saving._finished)
    for path in target.parent.iterdir():
        path.unlink()
    target.parent.rmdir()
    run.cell(1)

    run.finish()


def test_a_directory_in_place_of_the_file_is_reported_and_nothing_is_lost(tmp_path: Path) -> None:
    target = tmp_path / "executed.ipynb"
    run = Run(book(1), target, interval=0)
    target.unlink()
    target.mkdir()

    with pytest.raises(ConfigurationError, match=f"cannot write {target}: Is a directory"):
        run.saving.finish()

    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077, 0o002])
@pytest.mark.usefixtures("_file_systems")
def test_the_files_permissions_follow_the_umask(target: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        Run(book(1), target).finish()
    finally:
        os.umask(before)

    assert target.stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.usefixtures("_file_systems")
def test_a_link_in_place_of_the_file_is_replaced_and_its_target_is_kept(tmp_path: Path) -> None:
    """As everywhere in stepkit: what stands at the path is replaced, never written through."""
    (tmp_path / "shared.ipynb").write_text("somebody's")
    (tmp_path / "soft.ipynb").symlink_to("shared.ipynb")
    os.link(tmp_path / "shared.ipynb", tmp_path / "hard.ipynb")
    for name in ("soft.ipynb", "hard.ipynb"):
        Run(book(1), tmp_path / name).finish()
        assert not (tmp_path / name).is_symlink()

    assert (tmp_path / "shared.ipynb").read_text() == "somebody's"


def test_a_relative_path_is_resolved_at_the_start(
    target: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(target.parent)
    run = Run(book(1), Path(target.name).absolute())
    monkeypatch.chdir(tmp_path)
    run.finish()

    assert target.exists()
