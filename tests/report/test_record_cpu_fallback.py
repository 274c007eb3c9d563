"""What ran on the CPU is in the record of a run as the report of its step says it."""

from pathlib import Path
from typing import Any

import pytest
from recorded import summarized
from step_reports import write_report

from stepkit.report.record_cpu_fallback import record_cpu_fallback

NOTHING = {"cpu_fallback": None, "cpu_fallback_calls": None}


def fallback(**values: Any) -> dict[str, Any]:
    slow = {"name": "Series.map", "calls": 2, "seconds": 1.25, "why": "TypeError: a\nlambda"}
    usual = {"share": 0.4, "calls": 5, "cpu_calls": 2, "out_of_memory": 1, "seconds": 2.0,
             "cpu_seconds": 1.25, "functions": [slow]}  # fmt: skip
    return {**usual, **values}


def test_cells_and_notebook_have_share_calls_times_and_functions(tmp_path: Path) -> None:
    usual = {
        "number": 1,
        "title": "x",
        "status": "ok",
        "seconds": 1.0,
        "injected": "",
        "error": None,
    }
    cells = [usual, {**usual, "number": 2, "cpu_fallback": fallback()}]
    outputs = {"cells": cells, "cpu-fallback": fallback(calls=4)}
    write_report(tmp_path / "reports", "execute-notebook", outputs=outputs)

    (notebook,) = summarized(tmp_path)["notebooks"]

    first, second = notebook["cells"]
    assert (first["cpu_fallback"], first["cpu_fallback_calls"]) == (None, None)
    assert (second["cpu_fallback"], notebook["cpu_fallback"]) == (0.4, 0.5)
    assert second["cpu_fallback_calls"] == {
        "calls": 5, "cpu_calls": 2, "out_of_memory": 1, "duration_ms": 2000, "cpu_ms": 1250,
        "functions": [
            {"name": "Series.map", "calls": 2, "duration_ms": 1250, "why": "TypeError: a lambda"}
        ],
    }  # fmt: skip
    assert notebook["cpu_fallback_calls"] is not None


@pytest.mark.parametrize(
    "found",
    [
        None, 0.5, [], {}, fallback(calls=0, cpu_calls=0), fallback(calls=1), fallback(calls="5"),
        fallback(cpu_calls=-1), fallback(cpu_calls=None), fallback(calls=float("nan")),
    ],
)  # fmt: skip
def test_what_is_no_count_is_unknown(found: Any) -> None:
    assert record_cpu_fallback(found) == NOTHING


def test_parts_that_are_wrong_leave_the_others() -> None:
    odd = fallback(seconds="2", functions=[{"name": 3, "why": None}, 4], out_of_memory="x")

    assert record_cpu_fallback(odd)["cpu_fallback_calls"] == {
        "calls": 5, "cpu_calls": 2, "out_of_memory": 0, "duration_ms": 0, "cpu_ms": 1250,
        "functions": [{"name": "", "calls": 0, "duration_ms": 0, "why": ""}],
    }  # fmt: skip


def test_five_functions_are_kept() -> None:
    many = [{"name": f"f{n}", "calls": 1, "seconds": 1, "why": ""} for n in range(9)]

    found = record_cpu_fallback(fallback(functions=many))["cpu_fallback_calls"]

    assert found
    assert [each["name"] for each in found["functions"]] == ["f0", "f1", "f2", "f3", "f4"]
