"""A step whose files are those of an earlier run is reused wherever the run is shown."""

import json
from pathlib import Path
from typing import Any

import pytest
from recorded import summarized
from step_reports import write_report

from stepkit.cli import main as cli
from stepkit.report.run_json import RunJson

REUSED = {"run": "run-1", "status": "succeeded", "message": "1 of 1 cells ran",
          "started": "2026-11-22T07:00:00+00:00", "seconds": 60.0}  # fmt: skip
CELL = {"number": 1, "index": 0, "id": "a", "title": "1", "injected": "", "status": "ok",
        "began": 2.5, "seconds": 50.0, "gpu_peak": None, "gpu_change": None, "rss_peak": None,
        "tolerance": "", "error": None}  # fmt: skip


def write_reused(run: Path, **more: Any) -> None:
    """Write reports of a clone, and of a notebook that was reused 10 s after it began."""
    outputs = {"cells-total": 1, "cells-run": 1, "cells": [CELL], "zero": REUSED["started"]}
    values = {
        "step": "execute-notebook", "status": "reused", "message": "reused from run-1: 1 cell",
        "started": "2026-11-22T08:00:10+00:00", "seconds": 0.5, "reused": REUSED,
        "options": {"notebook": "a.ipynb"}, "outputs": outputs,
    }  # fmt: skip
    write_report(run / "reports", "git-clone")
    write_report(run / "reports", "notebook", **{**values, **more})


def record(run: Path, **more: Any) -> RunJson:
    write_reused(run, **more)
    return summarized(run, title="a.ipynb", enforce=True)


def test_the_headline_says_how_many_steps_are_reused_and_from_which_run(tmp_path: Path) -> None:
    found = record(tmp_path)

    assert (found["verdict"], found["headline"]) == ("passed", "passed, 1 step reused from run-1")
    assert [(s["status"], s["reused_from"]) for s in found["steps"]] == [
        ("succeeded", None), ("reused", "run-1"),
    ]  # fmt: skip
    first, *_, steps = [
        line
        for line in (tmp_path / "artifacts/STEP_SUMMARY.md").read_text().splitlines()
        if line.startswith("# ") or "of them reused" in line
    ]
    assert first == "# a.ipynb: passed, 1 step reused from run-1"
    assert "2 steps, 1 of them reused, all others succeeded" in steps
    page = (tmp_path / "artifacts/report.html").read_text()
    assert "Passed, 1 step reused from run-1" in page


def test_several_runs_are_named_once_each(tmp_path: Path) -> None:
    for name, run in (("convert", "run-0"), ("tests", "run-1")):
        again = {**REUSED, "run": run}
        write_report(tmp_path / "reports", name, step="run-tests", status="reused", reused=again)

    assert record(tmp_path)["headline"] == "passed, 3 steps reused from run-0 and run-1"


def test_tolerated_errors_of_the_earlier_run_stay_in_the_verdict(tmp_path: Path) -> None:
    outputs = {"cells-total": 1, "cells-run": 1, "cells": [{**CELL, "status": "tolerated"}]}

    found = record(tmp_path, outputs=outputs, reused={**REUSED, "status": "tolerated"})

    assert found["verdict"] == "passed with tolerated errors"
    assert found["headline"] == "passed with 1 tolerated error, 1 step reused from run-1"


def test_the_headline_names_a_run_of_an_odd_name_in_one_line(tmp_path: Path) -> None:
    found = record(tmp_path, reused={**REUSED, "run": "run\x1f\n1"})
    assert found["headline"] == "passed, 1 step reused from run\\x1f 1"

    found = record(tmp_path, reused={**REUSED, "run": ""})
    assert found["headline"] == "passed, 1 step reused from an earlier run"


def test_a_notebook_keeps_its_lengths_and_begins_when_it_was_reused(tmp_path: Path) -> None:
    (notebook,) = record(tmp_path)["notebooks"]

    assert (notebook["status"], notebook["reused_from"]) == ("reused", "run-1")
    assert (notebook["start_ms"], notebook["duration_ms"]) == (10_000, 60_000)
    (cell,) = notebook["cells"]
    assert (cell["start_ms"], cell["duration_ms"]) == (12_500, 50_000)
    assert notebook["timeline_start_ms"] == 10_000


def test_a_failure_of_another_step_decides(tmp_path: Path) -> None:
    failed = {"status": "failed", "reason": "tests-failed", "exit_code": 3, "message": "1 failed"}
    write_report(tmp_path / "reports", "run-tests", **failed)
    write_reused(tmp_path)

    found = summarized(tmp_path)

    assert (found["verdict"], found["headline"]) == ("failed", "failed, 1 step reused from run-1")
    assert found["cause"]
    assert found["cause"]["step"] == "run-tests"


def test_a_reused_step_without_the_run_is_a_report_that_cannot_be_read(tmp_path: Path) -> None:
    write_reused(tmp_path, reused={"run": "run-1"})

    found = summarized(tmp_path)

    assert found["verdict"] == "failed"
    (message,) = [step["message"] for step in found["steps"] if step["name"] == "notebook"]
    assert "its report notebook.json cannot be read: reused needs status" in message


def test_the_terminal_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path)

    assert cli.main(["show", str(tmp_path)]) == 0

    shown = capsys.readouterr().out
    assert "passed, 1 step reused from run-1" in shown.splitlines()[0]
    assert any(line.split()[:2] == ["reused", "notebook"] for line in shown.splitlines())
    assert json.loads((tmp_path / "artifacts/run.json").read_text())["tolerated"] == 0
