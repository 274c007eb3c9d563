"""summarize --baseline: how a run differs from an earlier one, and what of that fails it."""

import json
import logging
from pathlib import Path
from typing import Any

import commands
import pytest
from step_reports import write_report

from stepkit.errors import ConfigurationError, Reason, StepError, UserCodeError
from stepkit.steps import summarize
from stepkit.steps.summarize import Options, Outputs


class Runs:
    """Runs below one directory, each of a notebook with two cells."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, seconds: float, **values: Any) -> Path:
        usual = {"status": "ok", "injected": "", "error": None, "began": 0.0}
        cells = [
            {"number": 1, "seconds": 1.0, "title": "load()", "id": "a", **usual},
            {"number": 2, "seconds": seconds, "title": "fit()", "id": "b", **usual},
        ]
        report = {
            "started": f"2026-11-22T0{name[-1]}:00:00.000+00:00",
            "options": {"notebook": "analysis.ipynb"},
            "outputs": {"cells-run": 2, "cells-total": 2, "cells": cells},
            "seconds": seconds + 2,
            **values,
        }
        write_report(self.root / name / "reports", "execute-notebook", **report)
        return self.root / name

    def summarize(self, name: str, **more: Any) -> Outputs:
        directory = self.root / name
        summary = directory / "artifacts/STEP_SUMMARY.md"
        return summarize.run(Options(reports=directory / "reports", summary=summary, **more))

    def record(self, name: str) -> Any:
        return json.loads((self.root / name / "artifacts/run.json").read_text())

    def failed(self, name: str, **more: Any) -> StepError:
        with pytest.raises(StepError) as caught:
            self.summarize(name, **more)
        return caught.value


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    runs = Runs(tmp_path)
    runs.write("run-1", 10)
    runs.summarize("run-1")
    return runs


def test_the_summary_and_the_record_say_what_is_slower(runs: Runs) -> None:
    runs.write("run-2", 16)

    outputs = runs.summarize("run-2", baseline=str(runs.root / "run-1"))

    assert outputs.message == "the run passed"
    comparison = runs.record("run-2")["comparison"]
    assert comparison["baseline"]["source"] == str(runs.root / "run-1")
    (notebook,) = comparison["notebooks"]
    assert [(c["change"], c["duration"]["ratio"]) for c in notebook["cells"]] == [("slower", 1.6)]
    page = (runs.root / "run-2/artifacts/STEP_SUMMARY.md").read_text()
    assert "10.0 s | 16.0 s (1.60x) | slower |" in page


def test_a_directory_of_runs_gives_the_latest_before_this_one(runs: Runs) -> None:
    runs.write("run-2", 11)
    runs.summarize("run-2")
    runs.write("run-3", 11)

    runs.summarize("run-3", baseline=str(runs.root))

    found = runs.record("run-3")["comparison"]
    assert found["baseline"]["source"] == str(runs.root / "run-2/artifacts/run.json")
    assert found["runs"] == 2


def test_a_regression_ends_with_3_once_everything_is_written(
    runs: Runs, caplog: pytest.LogCaptureFixture
) -> None:
    runs.write("run-2", 16)

    error = runs.failed("run-2", baseline=str(runs.root / "run-1"), fail_on="slower=1.5x")

    assert isinstance(error, UserCodeError)
    assert error.reason == Reason.REGRESSION
    assert "analysis, cell 2 (fit())" in caplog.text
    assert isinstance(error.outputs, Outputs)
    assert error.outputs.verdict == "passed"
    record = runs.record("run-2")
    assert len(record["comparison"]["regressions"]) == 1
    assert record["headline"] == "passed, 1 regression"
    page = (runs.root / "run-2/artifacts/STEP_SUMMARY.md").read_text()
    assert "passed, 1 regression" in page.splitlines()[0]
    assert "**Regression:** " in page


def test_what_is_within_the_limit_does_not_fail(runs: Runs) -> None:
    runs.write("run-2", 16)

    outputs = runs.summarize("run-2", baseline=str(runs.root / "run-1"), fail_on="slower=2x")

    assert outputs.message == "the run passed"


def test_a_run_that_failed_fails_for_its_own_reason(runs: Runs) -> None:
    runs.write("run-2", 30, status="failed", reason="cell-error", exit_code=3, message="KeyError")
    limits = {"baseline": str(runs.root / "run-1"), "fail_on": "slower=1.1x"}

    outputs = runs.summarize("run-2", **limits)
    error = runs.failed("run-2", enforce=True, **limits)

    assert outputs.verdict == "failed"
    assert (error.reason, str(error)) == (Reason.CELL_ERROR, "execute-notebook: KeyError")


def test_a_missing_baseline_is_a_warning_and_a_note(
    runs: Runs, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        outputs = runs.summarize("run-1", baseline="/there/is/none", fail_on="slower=1.5x")

    assert outputs.message == "the run passed"
    assert "not compared: there is no run at /there/is/none" in caplog.text
    found = runs.record("run-1")["comparison"]
    assert found["baseline"] is None
    page = (runs.root / "run-1/artifacts/STEP_SUMMARY.md").read_text()
    assert "not compared: there is no run at /there/is/none" in page.replace("\\", "")


def test_a_missing_baseline_fails_the_run_that_asks_for_one(runs: Runs) -> None:
    error = runs.failed("run-1", baseline="/there/is/none", fail_on="slower=1.5x,no-baseline")

    assert isinstance(error, ConfigurationError)
    assert error.reason == Reason.NOT_FOUND
    assert str(error).startswith("no baseline: there is no run at /there/is/none")
    assert runs.record("run-1")["verdict"] == "passed"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"fail_on": "slower=1.5x"}, "--fail-on needs --baseline"),
        ({"fail_on": "fast", "baseline": "x"}, "--fail-on 'fast' is not one of slower=1.5x"),
    ],
)
def test_wrong_limits_are_refused_before_anything_is_written(
    runs: Runs, more: dict[str, str], message: str
) -> None:
    runs.write("run-2", 1)

    assert str(runs.failed("run-2", **more)).startswith(message)

    assert not (runs.root / "run-2/artifacts").exists()


def test_the_command_line_ends_with_the_regression(runs: Runs) -> None:
    directory = runs.write("run-2", 16)

    done = commands.stepkit(
        "summarize", "--reports", directory / "reports", "--summary", directory / "S.md",
        "--baseline", runs.root / "run-1", "--fail-on", "slower=1.5x",
    )  # fmt: skip

    assert done.returncode == 3
    last = done.stderr.splitlines()[-1]
    assert last.startswith("stepkit summarize: error: ")
    assert last.endswith("[regression]")
