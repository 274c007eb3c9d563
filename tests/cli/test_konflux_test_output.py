import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from stepkit.cli import konflux_test_output
from stepkit.cli import main as cli
from stepkit.errors import Reason
from stepkit.step import Checks, Status, StepResult

# From Konflux' ADR 30, where a test-like task's result is described.
SCHEMA = {
    "type": "object",
    "properties": {
        "result": {
            "type": "string",
            "enum": ["SUCCESS", "FAILURE", "WARNING", "SKIPPED", "ERROR"],
        },
        "namespace": {"type": "string"},
        "timestamp": {
            "type": "string",
            "pattern": r"^((?:(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2}(?:\.\d+)?))"
            r"(Z|[\+-]\d{2}:\d{2})?)$",
        },
        "successes": {"type": "integer", "minimum": 0},
        "note": {"type": "string"},
        "failures": {"type": "integer", "minimum": 0},
        "warnings": {"type": "integer", "minimum": 0},
    },
    "required": ["result", "timestamp", "successes", "failures", "warnings"],
}


def ended(
    exit_code: int | None, checks: Checks | None, *, message: str = "", status: Status = "failed"
) -> StepResult:
    return StepResult(
        step="run-tests",
        status=status,
        reason=Reason.TESTS_FAILED,
        message=message,
        exit_code=exit_code,
        started="2026-11-30T23:59:58.500+00:00",
        seconds=1.6,
        outputs={} if checks is None else {"test-output": checks},
    )


@pytest.mark.parametrize(
    ("exit_code", "checks", "result"),
    [
        (0, Checks(successes=3), "SUCCESS"),
        (0, Checks(successes=3, warnings=1), "WARNING"),
        (0, Checks(), "SKIPPED"),
        (3, Checks(successes=2, failures=1, warnings=1), "FAILURE"),
        (3, None, "FAILURE"),
        (4, Checks(successes=2), "ERROR"),
        (2, None, "ERROR"),
        (143, Checks(successes=2), "ERROR"),
        (None, None, "ERROR"),
    ],
)
def test_a_result_says_whether_what_was_tested_is_bad_or_it_could_not_be_tested(
    exit_code: int | None, checks: Checks | None, result: str
) -> None:
    text = konflux_test_output.spell(ended(exit_code, checks), ())

    document = json.loads(text)
    Draft202012Validator(SCHEMA).validate(document)
    counts = checks or Checks()
    assert document == {
        "result": result,
        "timestamp": "2026-12-01T00:00:00+00:00",
        "note": "run-tests: ",
        "namespace": "default",
        "successes": counts.successes,
        "failures": counts.failures,
        "warnings": counts.warnings,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "flaky"},
        {"status": "reused", "reused": {"run": "run-6", "status": "flaky"}},
    ],
    ids=["flaky", "reused"],
)
def test_a_flaky_notebook_is_a_warning_though_all_its_cells_passed(changes: Any) -> None:
    result = ended(0, Checks(successes=3), status="succeeded")

    document = json.loads(konflux_test_output.spell(replace(result, **changes), ()))

    assert (document["result"], document["warnings"]) == ("WARNING", 1)


def test_a_flaky_notebook_is_a_failure_where_that_is_asked_for() -> None:
    result = replace(ended(3, Checks(successes=3)), reason=Reason.FLAKY)

    document = json.loads(konflux_test_output.spell(result, ()))

    assert (document["result"], document["failures"]) == ("FAILURE", 1)


def test_a_note_is_one_short_line_without_secrets() -> None:
    message = "the server said\n" + "x" * 60 + " token-1234567 and a lot more"

    text = konflux_test_output.spell(ended(3, None, message=message), ["token-1234567"])

    note = json.loads(text)["note"]
    assert note.startswith("run-tests: the server said xxx")
    assert note.endswith("...")
    assert len(note) == 100
    assert "token" not in note


def test_a_step_that_is_refused_before_it_tests_leaves_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "TEST_OUTPUT"
    flags = [f"--artifacts={tmp_path}/artifacts", f"--result=test-output={file}"]

    assert cli.main(["run-tests", f"--checkout={tmp_path}/none", *flags]) == 2

    document = json.loads(file.read_text())
    Draft202012Validator(SCHEMA).validate(document)
    assert document["result"] == "ERROR"
    assert document["note"].startswith("run-tests: there is no checkout")
    assert "test-output=" not in capsys.readouterr().out


def test_a_step_that_checks_nothing_is_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tests").mkdir()
    file = tmp_path / "TEST_OUTPUT"
    flags = [f"--artifacts={tmp_path}/artifacts", f"--result=test-output={file}", "--only-prepare"]

    assert cli.main(["run-tests", f"--checkout={tmp_path}/tests", "--installer=none", *flags]) == 0

    assert json.loads(file.read_text())["result"] == "SKIPPED"
    assert f"test-output={file.read_text()}\n" in capsys.readouterr().out


@pytest.mark.slow
def test_stdout_has_the_same_object_as_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_x.py").write_text("def test_a(): pass\ndef test_b(): assert 0\n")
    file = tmp_path / "TEST_OUTPUT"
    report = tmp_path / "report.json"
    flags = [f"--artifacts={tmp_path}/artifacts", f"--result=test-output={file}"]

    ended = cli.main([
        "run-tests", f"--checkout={tmp_path}/tests", "--installer=none", *flags,
        f"--report={report}",
    ])  # fmt: skip

    document = json.loads(file.read_text())
    Draft202012Validator(SCHEMA).validate(document)
    assert ended == 3
    assert (document["result"], document["successes"], document["failures"]) == ("FAILURE", 1, 1)
    assert f"test-output={file.read_text()}\n" in capsys.readouterr().out
    written = json.loads(report.read_text())["outputs"]["test-output"]
    assert written == {"successes": 1, "failures": 1, "warnings": 0}
