"""What ran on the CPU comes from a file that the notebook's code can write, too."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from stepkit.engine import read_accelerated_calls
from stepkit.notebook.cpu_fallback import CpuFallback, SlowFunction


def line(**values: Any) -> str:
    usual = {"cell": 2, "calls": 4, "cpu_calls": 1, "out_of_memory": 0, "seconds": 2.0,
             "cpu_seconds": 1.5, "functions": [
                 {"name": "Series.map", "calls": 1, "seconds": 1.5, "why": "TypeError: no"}
             ]}  # fmt: skip
    return json.dumps({**usual, **values}) + "\n"


def test_lines_are_read_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "calls").write_text(line() + json.dumps({"warning": "cudf: it is new"}) + "\n")

    found, warnings = read_accelerated_calls.read(tmp_path / "calls")

    slow = SlowFunction(name="Series.map", calls=1, seconds=1.5, why="TypeError: no")
    assert found == {
        2: CpuFallback(
            share=0.25, calls=4, cpu_calls=1, out_of_memory=0, seconds=2.0, cpu_seconds=1.5,
            functions=(slow,),
        )
    }  # fmt: skip
    assert warnings == ["cudf: it is new"]


def test_two_lines_of_one_cell_add_up(tmp_path: Path) -> None:
    (tmp_path / "calls").write_text(line() + line(calls=1))

    (found,) = read_accelerated_calls.read(tmp_path / "calls")[0].values()

    assert (found.calls, found.cpu_calls, found.share) == (5, 2, 0.4)
    assert [(f.name, f.calls, f.seconds) for f in found.functions] == [("Series.map", 2, 3.0)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]\n1\n",
        "[" * 100_000,
        line(calls=0, cpu_calls=0),
        line(cpu_calls=5),
        line(calls=True),
        line(cell=-1),
        line(cell="2"),
        line(seconds=-1),
        line(seconds=float("nan")),
        line(cpu_seconds="1"),
        line(functions=None),
        line(functions=[{"name": 1, "calls": 1, "seconds": 1.0, "why": ""}]),
        json.dumps({"cell": 2}),
        json.dumps({"warning": 3}),
    ],
)
def test_what_is_no_count_is_left_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "calls").write_text(text)

    assert read_accelerated_calls.read(tmp_path / "calls") == ({}, [])


def test_a_torn_line_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "calls").write_text(line(cell=1) + line()[:20])

    assert list(read_accelerated_calls.read(tmp_path / "calls")[0]) == [1]
    assert read_accelerated_calls.read(tmp_path / "missing") == ({}, [])
    assert read_accelerated_calls.read(tmp_path) == ({}, [])


def test_names_do_not_act_on_a_terminal(tmp_path: Path) -> None:
    function = {"name": "a\x1b[2J\nb" + "x" * 400, "calls": 1, "seconds": 1.0, "why": ""}
    (tmp_path / "calls").write_text(line(functions=[function]))

    (found,) = read_accelerated_calls.read(tmp_path / "calls")[0].values()

    assert found.functions[0].name.startswith("a bx")
    assert len(found.functions[0].name) == 300


def test_a_pipe_in_place_of_the_file_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "calls")

    assert read_accelerated_calls.read(tmp_path / "calls") == ({}, [])
