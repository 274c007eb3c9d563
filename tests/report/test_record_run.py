"""The record of a run: its steps on one clock, its verdict and what decided it."""

from pathlib import Path

from recorded import summarized
from step_reports import write_report

FAILED = {"status": "failed", "reason": "tests-failed", "exit_code": 3, "message": "1 failed"}


def test_steps_are_on_one_clock_that_the_first_of_them_starts(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    write_report(reports, "git-clone", started="2026-11-22T08:00:00.250+00:00", seconds=1.5)
    write_report(reports, "second", started="2026-11-22T08:00:00.750+00:00", seconds=0.2)
    write_report(reports, "third", started="2026-11-22T08:00:01.000+00:00", seconds=7)

    record = summarized(tmp_path)

    assert (record["started"], record["duration_ms"]) == ("2026-11-22T08:00:00.250+00:00", 7_750)
    spans = [(step["name"], step["start_ms"], step["duration_ms"]) for step in record["steps"]]
    assert spans == [("git-clone", 0, 1500), ("second", 500, 200), ("third", 750, 7000)]


def test_an_expected_step_without_a_report_is_a_step_that_did_not_run(tmp_path: Path) -> None:
    write_report(tmp_path / "reports", "git-clone")

    record = summarized(tmp_path, expect=("git-clone", "run-tests"))

    assert (record["verdict"], record["not_run"]) == ("incomplete", ["run-tests"])
    step = record["steps"][1]
    assert (step["status"], step["command"], step["report"]) == ("not-run", "", None)
    assert (step["start_ms"], step["duration_ms"], step["again"]) == (None, None, [])


def test_a_killed_step_began_and_has_no_length(tmp_path: Path) -> None:
    killed = {"status": "failed", "reason": "killed", "exit_code": None, "message": "never ended"}
    write_report(tmp_path / "reports", "git-clone", seconds=0, **killed)

    record = summarized(tmp_path)

    step = record["steps"][0]
    assert (step["start_ms"], step["duration_ms"], step["unfinished"]) == (0, None, True)
    assert record["cause"] is not None
    assert (record["cause"]["step"], record["cause"]["reason"]) == ("git-clone", "killed")
