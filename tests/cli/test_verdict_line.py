"""The last line of a command: an annotation of a cause, once."""

import os
from pathlib import Path

import pytest
from commands import stepkit
from step_reports import write_report

from stepkit.cli import verdict_line
from stepkit.step import Status, StepResult


@pytest.mark.parametrize("service", ["GITHUB_ACTIONS", "STEPKIT_LOG_FORMAT"])
def test_summarize_does_not_annotate_the_cause_that_its_step_has_annotated(
    tmp_path: Path, service: str
) -> None:
    values = {"status": "failed", "reason": "cell-error", "exit_code": 3, "message": "cell 2"}
    write_report(tmp_path / "reports", "execute-notebook", **values)
    value = "true" if service == "GITHUB_ACTIONS" else "ci"

    done = stepkit(
        "summarize", "--reports", tmp_path / "reports", "--summary", tmp_path / "s.md",
        "--enforce", "true", env={**os.environ, service: value},
    )  # fmt: skip

    assert done.returncode == 3
    last = done.stderr.splitlines()[-1]
    assert last == "stepkit summarize: error: execute-notebook: cell 2 [cell-error]"
    assert "::error" not in done.stderr


def test_summarize_annotates_what_it_cannot_do(tmp_path: Path) -> None:
    done = stepkit(
        "summarize", "--reports", tmp_path / "gone", "--summary", tmp_path / "s.md",
        env={**os.environ, "GITHUB_ACTIONS": "true"},
    )  # fmt: skip

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("::error title=stepkit summarize::")


@pytest.mark.parametrize("status", ["tolerated", "flaky"])
def test_what_is_not_a_plain_success_is_a_warning_of_the_ci_service(
    status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    message = "3 of 3 cells ran, on attempt 2 of 3, after kernel-died"
    started = "2026-11-30T10:15:00.000+00:00"
    result = StepResult(
        step="execute-notebook", status=status, message=message, started=started, seconds=7.1
    )

    line = verdict_line.spell(result, "auto", ())

    assert line.startswith("::warning title=stepkit execute-notebook::")
    assert line.endswith(f"{status} in 7.1 s: {message}")
