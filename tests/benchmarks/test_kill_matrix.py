"""What the kill matrix finds in a run that was hurt."""

from __future__ import annotations

import json
import random
import signal
from typing import TYPE_CHECKING

import nbformat
import pytest

from benchmarks.contents import Contents
from benchmarks.kill_matrix import __main__ as command
from benchmarks.kill_matrix import promises
from benchmarks.kill_matrix.scenarios import SCENARIOS, Round
from benchmarks.readers import Reader

if TYPE_CHECKING:
    from pathlib import Path


def hurt_round(tmp_path: Path, output: str, expected: Contents | None = None) -> Round:
    now = Round(tmp_path, dice=random.Random(1), mark="m", expected=expected or Contents())
    now.output.write_text(output)
    now.note("hurt")
    return now


def test_the_kill_matrix_sees_each_broken_promise(tmp_path: Path) -> None:
    sigterm = SCENARIOS[0]
    now = hurt_round(tmp_path, '{"cells": [')
    report = {"exit_code": 0, "status": "succeeded", "reason": "ok", "message": "", "outputs": {}}
    now.report.write_text(json.dumps(report))
    reader = Reader(now.output)
    reader.torn, reader.contents = 2, 3

    found = list(promises.find_broken(sigterm, now, reader, 4))

    assert [problem.split(":")[0] for problem in found] == [
        "the output is not whole JSON",
        "a reader saw 2 torn contents",
        "what a reader saw is gone",
        "exit code 4, promised [143]",
        "the report says exit code 0, it was 4",
        "the report says succeeded for exit code 4",
        "the report says ok",
    ]
    assert list(promises.find_broken(sigterm, now, reader, None)) == ["it never ended"]


def test_the_kill_matrix_sees_a_success_that_is_none_and_cells_that_never_ran(
    tmp_path: Path,
) -> None:
    cell = nbformat.v4.new_code_cell("1", id="one")
    cell.metadata["papermill"] = {"status": "completed"}
    now = hurt_round(
        tmp_path, nbformat.writes(nbformat.v4.new_notebook(cells=[cell])), Contents(cells=1)
    )
    reader = Reader(now.output)
    reader.newest = Contents(cells=1)
    report = {"exit_code": 0, "status": "succeeded", "reason": "ok", "message": "", "outputs": {}}
    now.report.write_text(json.dumps({**report, "outputs": {"cells_run": 1}}))

    found = list(promises.find_broken(SCENARIOS[0], now, reader, 0))

    assert found == [
        "cells are `completed` that never ran: one",
        "older than what a reader saw: cells 0 after 1",
        "exit code 0, but cells 0 of 1",
        "the report counts 1 cells, the notebook has only 0",
    ]


@pytest.mark.slow
def test_a_round_of_the_kill_matrix_leaves_nothing_behind() -> None:
    scenarios = [scenario for scenario in SCENARIOS if scenario.name == "sigkill-runner"]

    outcome = command.play(0, scenarios=scenarios, seed="test")

    assert outcome.deed.startswith("SIGKILL after ")
    assert outcome.code == -signal.SIGKILL
    assert outcome.problems == ()
