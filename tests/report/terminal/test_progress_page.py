"""The page and the lines of a notebook that runs."""

import re
from typing import Any

import pytest
from progress_states import GIB, ended, state

from stepkit.report.terminal.paint import Paint
from stepkit.report.terminal.progress_page import progress_lines, progress_page

PLAIN = Paint(width=79)


def device(used: int, busy: int | None = 87) -> dict[str, Any]:
    return {
        "name": "NVIDIA H200",
        "memory_used": used,
        "memory_total": 100 * GIB,
        "utilisation": busy,
    }


def test_the_page_shows_cells_time_memory_and_what_was_printed() -> None:
    page = progress_page(state(gpus=[device(50 * GIB)]), PLAIN, rows=24)

    assert page.split("\n") == [
        "running  source/analysis.ipynb  1m03s",
        "[███████████████████▌                   ] 2 of 4 cells",
        "",
        "ok         cell 1      2.1 s  step(1)",
        "ok         cell 2      2.1 s  step(2)",
        "running    cell 3/4      12s  step(3)",
        "",
        "GPU [██████████          ] 50.0 GiB of 100.0 GiB, 87 % busy  NVIDIA H200",
        "memory 1.0 GiB of 8.0 GiB",
        "",
        "epoch 1",
        "epoch 2",
    ]


def test_the_page_of_a_run_that_ended_says_how() -> None:
    page = progress_page(ended(3, gpus=[], rss=None), PLAIN, rows=24).split("\n")

    assert page[0] == "failed  source/analysis.ipynb  1m03s"
    assert page[-2:] == ["", "it ended with 3"]
    assert "running" not in "\n".join(page)


def test_a_long_sentence_at_the_end_is_folded_and_not_cut() -> None:
    now = ended(3, gpus=[], rss=None)
    assert now["ending"]
    now["ending"]["message"] = f"cell 4 raised KeyError: 'pca' 数据 {'x' * 90} the end"

    page = progress_page(now, PLAIN, rows=24).split("\n")

    assert page[-3:] == ["cell 4 raised KeyError: 'pca' 数据", "x" * 79, f"{'x' * 11} the end"]


def test_several_gpus_are_numbered_and_an_unknown_one_is_left_out() -> None:
    silent = {**device(0), "memory_used": None, "memory_total": None}
    page = progress_page(state(gpus=[device(GIB), device(2 * GIB, None), silent]), PLAIN, rows=24)

    assert re.findall(r"^GPU .*", page, re.MULTILINE) == [
        "GPU 0 [▏                   ] 1.0 GiB of 100.0 GiB, 87 % busy  NVIDIA H200",
        "GPU 1 [▍                   ] 2.0 GiB of 100.0 GiB  NVIDIA H200",
    ]


@pytest.mark.parametrize("rows", [1, 8, 10, 12, 24, 100])
def test_the_page_fits_whatever_is_printed(rows: int) -> None:
    now = state(lines=["宽" * 100] * 20, notebook="n" * 200)
    page = progress_page(now, PLAIN, rows=rows, note="x" * 200).split("\n")

    assert len(page) <= max(rows, 8)
    assert max(len(line) + line.count("宽") for line in page) <= 79


def test_a_printed_line_stays_one_row_and_keeps_its_blanks() -> None:
    page = progress_page(state(lines=["a\nb   c"]), PLAIN, rows=24)

    assert page.endswith("\n\na b   c")


def test_a_note_is_the_last_line_and_the_newest_lines_stay() -> None:
    now = state(lines=[f"line {number}" for number in range(20)])
    page = progress_page(now, PLAIN, rows=16, note="wrote last 12s ago").split("\n")

    assert page[-3:] == ["line 19", "", "wrote last 12s ago"]


def test_nothing_in_a_state_acts_on_the_terminal() -> None:
    evil = "\x1b]0;title\x07\x1b[2J\r\n\x9b31m::error::x\u202e"
    now = ended(3, notebook=evil, lines=[evil], started=evil, gpus=[{**device(1), "name": evil}])
    now["cells"][0]["title"] = evil
    assert now["ending"]
    now["ending"]["message"] = evil
    running = state(lines=[evil])
    assert running["cell"]
    running["cell"]["name"] = running["cell"]["title"] = evil

    for one in (now, running):
        page = progress_page(one, PLAIN, rows=24, note=evil)
        lines = [*progress_lines(None, one)]
        for text in (*page.split("\n"), *lines):
            assert text.isprintable(), text


def test_a_line_is_shown_for_each_change() -> None:
    first, second, third = state(0, running=False), state(1), state(3)

    assert [*progress_lines(None, first)] == [
        "source/analysis.ipynb: 4 cells, since 2026-11-30T10:15:00Z"
    ]
    assert [*progress_lines(first, second)] == ["cell 1: ok in 2.1 s", "cell 2/4: step(2)"]
    assert [*progress_lines(second, second)] == []
    assert [*progress_lines(second, third)] == [
        "cell 2: ok in 2.1 s", "cell 3: ok in 2.1 s", "cell 4/4: step(4)",
    ]  # fmt: skip
    assert [*progress_lines(third, ended(0))] == [
        "cell 4: ok in 2.1 s", "succeeded after 1m03s: it ended with 0",
    ]  # fmt: skip


def test_a_second_attempt_begins_with_its_first_cell() -> None:
    again = state(1, attempt=2)

    assert [*progress_lines(state(3), again)] == [
        "source/analysis.ipynb, attempt 2: 4 cells, since 2026-11-30T10:15:00Z",
        "cell 1: ok in 2.1 s",
        "cell 2/4: step(2)",
    ]
