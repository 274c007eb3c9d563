"""The tests of a run in its record: counts, what failed, what took long."""

from pathlib import Path

from recorded import summarized
from step_reports import write_report


def test_counts_and_cases_are_those_of_the_report(tmp_path: Path) -> None:
    failure = {"name": "t::a", "message": "assert", "text": "E", "seconds": 0.25, "allowed": False}
    outputs = {
        "total": 3, "passed": 1, "failed": 1, "errors": 0, "skipped": 1, "allowed": 0,
        "coverage": 96.5, "failures": [{**failure, "reason": ""}],
        "slowest": [{"name": f"t::{n}", "seconds": n, "status": "passed"} for n in range(20)],
        "skips": [{"name": "t::s", "reason": "no GPU"}],
        "html-report": str(tmp_path / "artifacts/pytest_report.html"),
    }  # fmt: skip
    write_report(tmp_path / "reports", "run-tests", outputs=outputs, message="1 failed")

    (tests,) = summarized(tmp_path)["tests"]

    assert (tests["total"], tests["failed"], tests["skipped"], tests["coverage"]) == (3, 1, 1, 96.5)
    (failed,) = tests["failures"]
    assert (failed["status"], failed["duration_ms"], failed["text"]) == ("failed", 250, "E")
    assert len(tests["slowest"]) == 10
    assert (tests["skips"][0]["status"], tests["skips"][0]["reason"]) == ("skipped", "no GPU")
    assert (tests["report"], tests["junit"]) == ("pytest_report.html", None)


def test_coverage_of_an_older_report_is_read_as_a_number(tmp_path: Path) -> None:
    for name, coverage in (("a", "87.5 %"), ("b", "unknown"), ("c", "n/a")):
        outputs = {"total": 1, "coverage": coverage}
        values = {"step": "run-tests", "schema": "stepkit.report/1", "outputs": outputs}
        write_report(tmp_path / "reports", name, **values)

    found = [tests["coverage"] for tests in summarized(tmp_path)["tests"]]

    assert found == [87.5, None, None]


def test_tests_that_were_killed_have_no_counts(tmp_path: Path) -> None:
    killed = {"status": "failed", "reason": "killed", "exit_code": None}
    write_report(tmp_path / "reports", "run-tests", **killed)

    (tests,) = summarized(tmp_path)["tests"]

    assert (tests["total"], tests["passed"], tests["failures"]) == (None, None, [])
