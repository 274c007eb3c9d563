"""One cell's outputs within their limit, and the whole of them in files."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import execute, statuses, text_of

from stepkit.engine.output_limit import OutputLimit
from stepkit.errors import Reason, ToolError

NOTE = "[stepkit: cut after 10 bytes of outputs; the whole is in {}]"


@pytest.fixture
def limit(tmp_path: Path) -> OutputLimit:
    return OutputLimit(10, tmp_path / "a.outputs", "1")


def files(tmp_path: Path) -> dict[str, str]:
    directory = tmp_path / "a.outputs"
    if not directory.exists():
        return {}
    return {path.name: path.read_text() for path in directory.iterdir()}


def test_outputs_up_to_the_limit_leave_no_file(limit: OutputLimit, tmp_path: Path) -> None:
    assert limit.cut("12345") == "12345"
    assert limit.note_if_beyond({"text/plain": "6789"}) == ""
    assert limit.cut("0") == "0"
    limit.end()

    assert files(tmp_path) == {}


def test_one_character_more_is_cut_and_the_whole_text_is_kept(
    limit: OutputLimit, tmp_path: Path
) -> None:
    assert limit.cut("12345") == "12345"
    note = NOTE.format("a.outputs/cell-1.txt")
    assert limit.cut("67890x") == f"67890\n{note}\n"
    assert limit.cut("more") == ""
    limit.end()

    assert files(tmp_path) == {"cell-1.txt": "1234567890xmore"}


def test_each_cell_has_the_whole_limit(limit: OutputLimit, tmp_path: Path) -> None:
    limit.cut("x" * 20)
    limit.end()
    second = OutputLimit(10, tmp_path / "a.outputs", "2")

    assert second.cut("1234567890") == "1234567890"
    second.end()
    assert set(files(tmp_path)) == {"cell-1.txt"}


def test_what_a_cell_prints_after_its_end_is_joined_to_the_rest(
    limit: OutputLimit, tmp_path: Path
) -> None:
    assert limit.cut("12345") == "12345"
    limit.end()
    assert files(tmp_path) == {}
    assert limit.cut("67890x").startswith("67890\n[stepkit: cut")
    limit.end()
    assert limit.cut("more") == ""
    limit.end()

    assert files(tmp_path) == {"cell-1.txt": "1234567890xmore"}


def test_an_output_beyond_the_limit_goes_to_a_separate_file(
    limit: OutputLimit, tmp_path: Path
) -> None:
    image = {"image/png": "x" * 11, "text/plain": "é"}
    note = NOTE.format("a.outputs/cell-1-output-1.json")

    assert limit.note_if_beyond(image) == f"\n{note}\n"
    assert limit.note_if_beyond({"text/plain": "small"}) == ""
    assert "output-2" in limit.note_if_beyond({"application/json": {"a": [1, 2, 3]}})
    assert limit.cut("12345") == "12345"
    limit.end()

    kept = {name: json.loads(text) for name, text in files(tmp_path).items()}
    assert kept == {
        "cell-1-output-1.json": image,
        "cell-1-output-2.json": {"application/json": {"a": [1, 2, 3]}},
    }


@given(pieces=st.lists(st.text(max_size=8), max_size=8))
def test_no_character_is_lost(tmp_path_factory: pytest.TempPathFactory, pieces: list[str]) -> None:
    directory = tmp_path_factory.mktemp("limit") / "a.outputs"
    limit = OutputLimit(10, directory, "1")
    shown = "".join(limit.cut(piece) for piece in pieces)
    limit.end()

    whole = "".join(pieces)
    if len(whole) <= 10:
        assert (shown, directory.exists()) == (whole, False)
    else:
        path = directory / "cell-1.txt"
        assert shown.startswith(whole[:10] + "\n[stepkit: cut")
        assert path.read_bytes().decode("utf-8", "surrogatepass") == whole


def test_a_full_disk_is_reported(small_disk: Path) -> None:
    limit = OutputLimit(10, small_disk / "a.outputs", "1")

    with pytest.raises(ToolError, match=r"cannot write .*No space left") as caught:
        limit.cut("x" * 2_000_000)
    with suppress(ToolError):
        limit.end()

    assert caught.value.reason == Reason.DISK_FULL


def test_a_full_disk_is_also_reported_at_the_end(small_disk: Path) -> None:
    limit = OutputLimit(10, small_disk / "a.outputs", "1")
    limit.cut("x" * 20)
    with pytest.raises(OSError, match="No space"):
        (small_disk / "other").write_bytes(b"x" * 2_000_000)
    limit.cut("y" * 5000)

    with pytest.raises(ToolError, match=r"cell-1.txt: No space left"):
        limit.end()
    limit.end()


def test_an_output_that_replaces_another_has_to_fit_alone(
    limit: OutputLimit, tmp_path: Path
) -> None:
    for number in range(100):
        assert limit.note_if_beyond({"text/plain": f"{number} of 99"}, replaces=True) == ""
    assert limit.cut("1234567890") == "1234567890"
    assert "output-1" in limit.note_if_beyond({"text/plain": "12345678901"}, replaces=True)

    assert set(files(tmp_path)) == {"cell-1-output-1.json"}


def test_a_notebook_says_what_was_cut_and_goes_on(tmp_path: Path) -> None:
    outcome = execute(
        tmp_path,
        "print('a' * 50)\nfor n in range(100): print('line', n, flush=True)",
        "for n in range(100): print(f'\\r{n} of 99', end='', flush=True)",
        "from IPython.display import Image, display\n"
        "display(Image(b'\\x89PNG' + b'x' * 900, format='png')); print('after'); 'value'",
        "1/0",
        tags={3: ["raises-exception"]},
        cell_output_limit=100,
    )

    cells = outcome.notebook.cells
    assert statuses(outcome) == ["ok", "ok", "ok", "expected-error"]
    note = "[stepkit: cut after 100 bytes of outputs; the whole is in executed.outputs/cell-"
    assert text_of(cells[0]).endswith(f"\n{note}1.txt]\n")
    assert len(text_of(cells[0])) < 250
    assert cells[2].outputs[0].data == {"text/plain": f"{note}3-output-1.json]"}
    assert text_of(cells[2]) == "after\n"
    assert cells[2].outputs[-1].data["text/plain"] == "'value'"
    assert cells[3].outputs[0].ename == "ZeroDivisionError"
    kept = tmp_path / "out/executed.outputs"
    lines = (kept / "cell-1.txt").read_text().splitlines()
    assert lines == ["a" * 50, *(f"line {n}" for n in range(100))]
    assert "image/png" in json.loads((kept / "cell-3-output-1.json").read_text())


@pytest.mark.slow
def test_a_display_cannot_outgrow_the_limit_by_an_update(tmp_path: Path) -> None:
    outcome = execute(
        tmp_path,
        "h = display('small', display_id=True)\nh.update('x' * 5000)",
        "h.update('y' * 5000)",
        cell_output_limit=100,
    )

    assert len(str(outcome.notebook.cells[0].outputs)) < 500
    assert "stepkit: cut" in str(outcome.notebook.cells[0].outputs)


LATE = """
import contextvars, threading  # ipykernel 7 takes the cell from the context
go, done = threading.Event(), threading.Event()
def work():
    go.wait()
    print("late" * 10, flush=True)
    display("x" * 90)
    print("more", flush=True)
    done.set()
threading.Thread(target=contextvars.copy_context().run, args=(work,)).start()
print("x" * 80, flush=True)
"""


def test_a_late_output_counts_against_its_own_cell(tmp_path: Path) -> None:
    outcome = execute(
        tmp_path,
        LATE,
        "go.set(); done.wait(); print('y' * 90)",
        "print('end')",
        cell_output_limit=100,
    )

    first, second, _ = outcome.notebook.cells
    assert statuses(outcome) == ["ok"] * 3
    assert text_of(second) == "y" * 90 + "\n"
    note = "[stepkit: cut after 100 bytes of outputs; the whole is in executed.outputs/cell-1"
    assert text_of(first) == "x" * 80 + "\n" + "late" * 4 + "lat" + f"\n{note}.txt]\n"
    assert first.outputs[-1].data == {"text/plain": f"{note}-output-1.json]"}
    kept = tmp_path / "out/executed.outputs"
    assert sorted(path.name for path in kept.iterdir()) == ["cell-1-output-1.json", "cell-1.txt"]
    assert (kept / "cell-1.txt").read_text() == "x" * 80 + "\n" + "late" * 10 + "\nmore\n"
