"""The record of a run: its steps on one clock, its verdict, and what decided it."""

from pathlib import Path
from typing import Any

import pytest
from recorded import summarized
from step_reports import write_report

from stepkit.errors import ConfigurationError

FAILED = {"status": "failed", "reason": "cell-error", "exit_code": 3, "message": "KeyError"}
EVIDENCE = {"ename": "KeyError", "evalue": "'pca'", "traceback": "line 1\nline 2", "line": 2}


def cell(number: int, **values: Any) -> dict[str, Any]:
    usual = {"number": number, "title": "x", "status": "ok", "seconds": 1.0, "injected": ""}
    return {**usual, "error": None, **values}


def test_steps_are_on_one_clock_that_the_first_of_them_starts(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    write_report(reports, "git-clone", started="2026-11-22T08:00:00.250+00:00", seconds=1.5)
    write_report(reports, "second", started="2026-11-22T08:00:00.750+00:00", seconds=0.2)
    write_report(reports, "third", started="2026-11-22T08:00:01.000+00:00", seconds=7)

    record = summarized(tmp_path)

    assert (record["started"], record["duration_ms"]) == ("2026-11-22T08:00:00.250+00:00", 7_750)
    spans = [(step["name"], step["start_ms"], step["duration_ms"]) for step in record["steps"]]
    assert spans == [("git-clone", 0, 1500), ("second", 500, 200), ("third", 750, 7000)]


def test_a_time_that_is_none_leaves_the_step_without_a_place_on_the_clock(tmp_path: Path) -> None:
    write_report(tmp_path / "reports", "git-clone", started="this morning", seconds=1)

    record = summarized(tmp_path)

    assert (record["started"], record["duration_ms"]) == (None, None)
    assert (record["steps"][0]["start_ms"], record["steps"][0]["duration_ms"]) == (None, 1000)


def test_a_clock_that_was_set_back_leaves_steps_and_cells_without_a_length(tmp_path: Path) -> None:
    cells = [cell(1, seconds=-2.0), cell(2, seconds=2.0)]
    outputs = {"cells": cells, "cells-total": 2, "cells-run": 2}
    write_report(tmp_path / "reports", "execute-notebook", seconds=-5, outputs=outputs)

    record = summarized(tmp_path)

    assert (record["steps"][0]["duration_ms"], record["duration_ms"]) == (None, 0)
    assert [found["duration_ms"] for found in record["notebooks"][0]["cells"]] == [None, 2000]
    assert "| 2 | 2.0 s | 100 % |" in (tmp_path / "artifacts/STEP_SUMMARY.md").read_text()


def test_an_expected_step_without_a_report_is_a_step_that_did_not_run(tmp_path: Path) -> None:
    write_report(tmp_path / "reports", "git-clone")

    record = summarized(tmp_path, expect=("git-clone", "run-tests"))

    assert (record["verdict"], record["not_run"]) == ("incomplete", ["run-tests"])
    step = record["steps"][1]
    assert (step["status"], step["command"], step["report"]) == ("not-run", "", None)
    assert (step["start_ms"], step["duration_ms"], step["again"]) == (None, None, [])


def test_a_step_that_is_not_asked_for_is_not_missed(tmp_path: Path) -> None:
    write_report(tmp_path / "reports", "git-clone")
    write_report(tmp_path / "reports", "prepare-tests")  # an earlier run's

    record = summarized(
        tmp_path,
        expect=("git-clone", "prepare-tests", "run-tests", "publish-artifacts"),
        statuses=("prepare-tests=None", "run-tests=None"),
        asked_for=("prepare-tests=", "run-tests= ", "publish-artifacts=s3://a?b=c"),
    )

    assert (record["verdict"], record["not_run"]) == ("incomplete", ["publish-artifacts"])
    found = [(step["status"], step["message"], step["report"]) for step in record["steps"][1:]]
    assert found == [("not-asked-for", "", None)] * 2 + [("not-run", "", None)]


def test_a_step_that_is_not_asked_for_and_fails_all_the_same_counts(tmp_path: Path) -> None:
    write_report(tmp_path / "reports", "git-clone", status="failed", exit_code=3)

    record = summarized(tmp_path, expect=("git-clone", "a"), asked_for=("git-clone=", "a="))

    assert record["verdict"] == "failed"
    record = summarized(
        tmp_path, expect=("a",), statuses=("a=Failed/TaskRunTimeout",), asked_for=("a=",)
    )
    assert record["steps"][0]["status"] == "failed"


@pytest.mark.parametrize("item", ["run-tests", "=x"])
def test_what_is_asked_for_is_a_name_with_a_value(tmp_path: Path, item: str) -> None:
    with pytest.raises(ConfigurationError, match=f"--asked-for '{item}' is not NAME=VALUE"):
        summarized(tmp_path, asked_for=(item,))


def test_a_killed_step_began_and_has_no_length(tmp_path: Path) -> None:
    killed = {"status": "failed", "reason": "killed", "exit_code": None, "message": "never ended"}
    write_report(tmp_path / "reports", "git-clone", seconds=0, **killed)

    record = summarized(tmp_path)

    step = record["steps"][0]
    assert (step["start_ms"], step["duration_ms"], step["unfinished"]) == (0, None, True)
    assert record["cause"] is not None
    assert (record["cause"]["step"], record["cause"]["reason"]) == ("git-clone", "killed")


def test_the_cause_points_at_the_cell_that_failed_and_has_its_evidence(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    cells = [cell(1), cell(2, status="error", error=EVIDENCE), cell(3, status="not-run")]
    write_report(reports, "fine.ipynb", step="execute-notebook", outputs={"cells": [cell(1)]})
    write_report(reports, "bad.ipynb", step="execute-notebook", outputs={"cells": cells}, **FAILED)
    write_report(reports, "run-tests", **{**FAILED, "reason": "tests-failed"})

    record = summarized(tmp_path, expect=("fine.ipynb", "bad.ipynb", "run-tests"))

    cause = record["cause"]
    assert cause is not None
    assert (cause["step"], cause["reason"], cause["exit_code"]) == ("bad.ipynb", "cell-error", 3)
    assert (cause["notebook"], cause["cell"]) == (1, 1)
    assert cause["error"] == record["notebooks"][1]["cells"][1]["error"]
    assert cause["error"] is not None
    assert (cause["error"]["traceback"], cause["error"]["line"]) == ("line 1\nline 2", 2)


def test_the_cause_of_failed_tests_is_the_first_failure_that_is_not_allowed(tmp_path: Path) -> None:
    failures = [
        {"name": "a", "message": "known", "text": "E known", "allowed": True, "reason": "#1"},
        {"name": "b", "message": "assert 1 == 2", "text": "E  1", "allowed": False, "reason": ""},
    ]
    outputs = {"total": 2, "passed": 0, "failed": 1, "allowed": 1, "failures": failures}
    write_report(tmp_path / "reports", "run-tests", outputs=outputs, **FAILED)

    record = summarized(tmp_path)

    cause = record["cause"]
    assert cause is not None
    assert (cause["notebook"], cause["cell"]) == (None, None)
    assert cause["error"] is not None
    assert (cause["error"]["evalue"], cause["error"]["traceback"]) == ("assert 1 == 2", "E  1")


def test_the_cause_of_a_step_without_cells_and_tests_is_its_own_evidence(tmp_path: Path) -> None:
    failed = {**FAILED, "reason": "network", "exit_code": 4}
    write_report(tmp_path / "reports", "git-clone", error={"output": ["fatal: no"]}, **failed)

    record = summarized(tmp_path)

    assert record["cause"] is not None
    assert record["cause"]["error"] == record["steps"][0]["error"]
    assert record["cause"]["error"] is not None
    assert record["cause"]["error"]["output"] == ["fatal: no"]


def test_a_step_is_run_again_by_what_was_given_without_defaults_and_secrets(
    tmp_path: Path,
) -> None:
    options = {
        "url": "https://example.org/a.git", "revision": "HEAD", "destination": "a b",
        "attempts": 5, "timeout": 90.0, "lfs": "auto", "tags": True, "refspec": ["-x", "y"],
        "token": "s3cret", "token-file": None, "unknown": "z",
    }  # fmt: skip
    write_report(tmp_path / "reports", "git-clone", options=options)
    write_report(tmp_path / "reports", "of-another-image", options=options)

    record = summarized(tmp_path)

    assert record["steps"][0]["again"] == [
        "stepkit", "git-clone", "--url", "https://example.org/a.git", "--destination", "a b",
        "--timeout", "90", "--refspec=-x", "--refspec=y", "--tags", "true",
    ]  # fmt: skip
    assert record["steps"][1]["again"] == []


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"ca-file": "ca-bundle.crt", "ca-directory": None}, []),
        ({"ca-file": "./ca.crt", "ca-directory": None}, ["--ca-file", "./ca.crt"]),
        (
            {"ca-file": "ca.crt", "ca-directory": "/ca"},
            ["--ca-directory", "/ca", "--ca-file", "ca.crt"],
        ),
    ],
)
def test_a_step_is_run_again_without_a_certificate_that_had_no_effect(
    tmp_path: Path, given: dict[str, Any], shown: list[str]
) -> None:
    url = "https://example.org/a.git"
    write_report(tmp_path / "reports", "git-clone", options={"url": url, **given})

    record = summarized(tmp_path)

    assert record["steps"][0]["again"] == ["stepkit", "git-clone", "--url", url, *shown]


def test_a_report_that_cannot_be_read_is_a_failed_step_of_the_record(tmp_path: Path) -> None:
    write_report(tmp_path / "reports", "git-clone")
    (tmp_path / "reports/run-tests.json").write_text('{"schema": "stepkit.rep')

    record = summarized(tmp_path)

    assert record["verdict"] == "failed"
    assert record["cause"] is not None
    assert record["cause"]["step"] == "run-tests"
    assert record["cause"]["message"].startswith("its report run-tests.json cannot be read")
    torn = next(step for step in record["steps"] if step["name"] == "run-tests")
    assert (torn["report"], torn["start_ms"]) == ("../reports/run-tests.json", None)


def test_a_report_of_a_future_version_keeps_its_verdict(tmp_path: Path) -> None:
    future = {"schema": "stepkit.report/9", "outputs": {"cells": "as text"}}
    write_report(tmp_path / "reports", "execute-notebook", **{**FAILED, **future})

    record = summarized(tmp_path)

    assert record["verdict"] == "failed"
    assert record["cause"] is not None
    assert "stepkit.report/9 is newer than this stepkit" in record["cause"]["message"]
    assert record["cause"]["message"].startswith("KeyError")


def test_texts_lose_control_characters_and_tracebacks_keep_their_colours(tmp_path: Path) -> None:
    evidence = {**EVIDENCE, "traceback": "\x1b[31mred\x1b[0m\x1b[2J\x07", "evalue": "a\x00\ud800b"}
    hostile = {**FAILED, "message": "\x1b[31mno\x1b[0m\r\nway", "error": evidence}
    write_report(tmp_path / "reports", "git-clone", **hostile)

    record = summarized(tmp_path, title="a\x1b]0;title\x07b")

    step = record["steps"][0]
    assert (record["title"], step["message"]) == ("ab", "no way")
    assert step["error"] is not None
    assert step["error"]["traceback"].startswith("\x1b[31mred\x1b[0m")
    assert "\x1b[2J" not in step["error"]["traceback"]
    assert step["error"]["evalue"] == "a\\x00\ufffdb"


def test_versions_are_those_of_all_steps(tmp_path: Path) -> None:
    write_report(tmp_path / "reports", "a", versions={"stepkit": "1.0", "python": "3.12"})
    write_report(tmp_path / "reports", "b", versions={"stepkit": "1.0", "nbconvert": "7"})

    record = summarized(tmp_path)

    assert record["versions"] == {"stepkit": "1.0", "python": "3.12", "nbconvert": "7"}


def test_an_earlier_run_of_a_step_is_kept(tmp_path: Path) -> None:
    earlier = {"runs": 1, "started": "x", "status": "failed", "reason": "killed", "ended": False}
    write_report(tmp_path / "reports", "a", earlier=earlier)

    assert summarized(tmp_path)["steps"][0]["earlier"] == earlier


def test_where_artifacts_were_published_is_known_if_the_run_waited_for_that(
    tmp_path: Path,
) -> None:
    outputs = {"location": "s3://runs/7", "url": "https://pages.example.org/7/report.html"}
    write_report(tmp_path / "reports", "publish-artifacts", outputs=outputs)

    assert summarized(tmp_path, expect=("publish-artifacts",))["published"] == outputs["url"]


@pytest.mark.parametrize("step", ["execute-notebook", "run-tests", "git-clone", "download-dataset"])
def test_a_step_whose_name_is_not_utf_8_has_one_name_in_all_of_the_record(
    tmp_path: Path, step: str
) -> None:
    dataset = {"path": "d", "url": "https://x/y", "sha256": None, "size": 1, "came": "cache"}
    outputs = {"commit": "9f" * 20, "datasets": [dataset]}
    write_report(tmp_path / "reports", "bad-\udce9", step=step, outputs=outputs)

    record = summarized(tmp_path)

    assert [entry["name"] for entry in record["steps"]] == ["bad-\ufffd"]
    sections = [
        *record["notebooks"],
        *record["tests"],
        *record["repositories"],
        *record["datasets"],
    ]
    assert [entry["step"] for entry in sections] == ["bad-\ufffd"]
