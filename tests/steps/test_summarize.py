import copy
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rendered_markdown import Rendered
from step_reports import write_report

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError, UserCodeError
from stepkit.steps import summarize
from stepkit.steps.summarize import Options, Outputs

UNFINISHED = {"status": "failed", "reason": "killed", "exit_code": None, "message": "never ended"}
SAVED = {"status": "cancelled", "reason": "cancelled", "exit_code": 143, "message": "saved"}
FAILED = {"status": "failed", "reason": "cell-error", "exit_code": 3, "message": "KeyError"}


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    directory = tmp_path / "reports"
    write_report(directory, "git-clone", outputs={"commit": "1234567890abcdef"})
    fast = {"status": "ok", "injected": "", "error": None}
    cells = [
        {"number": 1, "seconds": 75.0, "title": "load()", **fast},
        {"number": 2, "seconds": 0.5, "title": "a | b", **fast},
    ]
    outputs = {"cells-run": 2, "cells-total": 2, "cells": cells}
    write_report(directory, "execute-notebook", outputs=outputs, message="2 of 2 cells ran")
    return directory


def page(reports: Path) -> str:
    return (reports.parent / "out/STEP_SUMMARY.md").read_text()


def run(reports: Path, **more: Any) -> Outputs:
    summary = reports.parent / "out/STEP_SUMMARY.md"
    return summarize.run(Options(reports=reports, summary=summary, **more))


def test_a_run_whose_steps_all_succeeded_passed(reports: Path) -> None:
    outputs = run(reports, title="Analysis")

    assert (outputs.verdict, outputs.message) == ("passed", "the run passed")
    text = page(reports)
    assert text.startswith("# Analysis: passed\n")
    assert "| git-clone | succeeded | 1.5 s | commit 1234567890ab |" in text
    assert "## Notebook: 2 of 2 cells ran" in text
    assert "| 1 | 1m15s | 99 % | `load()` |" in text
    assert r"`a \| b`" in text
    assert "Run by stepkit 0.1.0." in text


def test_an_expected_step_without_a_report_did_not_run(reports: Path) -> None:
    outputs = run(reports, expect=("git-clone", "execute-notebook", "run-tests"))

    assert outputs.verdict == "incomplete"
    assert "**Not run:** run-tests" in page(reports)
    assert "| run-tests | not run |  |  |" in page(reports)
    assert "## Tests" not in page(reports)


def test_notebooks_side_by_side_have_a_report_each_below_their_own_path(reports: Path) -> None:
    names = ["notebooks/a.ipynb", "notebooks/deep/b.ipynb", "notebooks/c.ipynb"]
    ran = {"step": "execute-notebook", "message": "2 of 2 cells ran"}
    write_report(reports / "notebooks", "a.ipynb", **ran)
    write_report(reports / "notebooks/deep", "b.ipynb", **{**FAILED, **ran})
    write_report(reports / "notebooks", "not-expected.ipynb", **ran)

    outputs = run(reports, expect=("git-clone", *names))

    assert outputs.message == "the run failed: notebooks/deep/b.ipynb: 2 of 2 cells ran"
    shown = page(reports)
    assert "| notebooks/a.ipynb | succeeded |" in shown
    assert "| notebooks/c.ipynb | not run |" in shown
    assert "not-expected" not in shown


def test_of_many_notebooks_those_that_passed_are_folded_away(reports: Path) -> None:
    cell = {"number": 1, "seconds": 1.0, "title": "load()", "injected": "", "error": None}
    fine = {"cells-run": 1, "cells-total": 1, "cells": [{**cell, "status": "ok"}]}
    bad = {"cells-run": 0, "cells-total": 1, "cells": [{**cell, "status": "error"}]}
    ran = {"step": "execute-notebook", "message": "1 of 1 cells ran"}
    for name in ("a", "b", "c"):
        write_report(reports, name, outputs=fine, **ran)
    write_report(reports, "d", outputs=bad, **{**ran, **FAILED})

    run(reports)

    shown = page(reports)
    assert "<details><summary>a: 1 of 1 cells ran</summary>\n\n## a: 1 of 1 cell ran" in shown
    assert shown.count("<details>") == shown.count("</details>") == 5  # and one of usual causes
    assert "\n\n## d: 1 cell failed" in shown
    assert shown.index("## d:") < shown.index("## a:")


def test_steps_that_were_not_expected_stand_where_they_ran(reports: Path) -> None:
    write_report(reports, "prepare", message="ready", started="2026-11-22T07:00:00+00:00")
    write_report(reports, "load", message="1 dataset", started="2026-11-22T08:30:00+00:00")
    write_report(reports, "execute-notebook", message="ran", started="2026-11-22T09:00:00+00:00")

    run(reports, expect=("prepare", "git-clone", "execute-notebook"))

    rows = [line.split(" | ")[0] for line in page(reports).splitlines() if "| succeeded" in line]
    assert rows == ["| prepare", "| git-clone", "| load", "| execute-notebook"]
    assert page(reports).splitlines()[2] == "execute-notebook: ran"


def test_a_step_that_only_prepares_tests_is_not_on_top(reports: Path) -> None:
    made = {"step": "run-tests", "message": "the tests' environment is ready"}
    write_report(reports, "prepare-tests", options={"only-prepare": True}, **made)
    write_report(reports, "run-tests", message="2 tests: 2 passed")

    run(reports)

    first = page(reports).splitlines()[2]
    assert first == "execute-notebook: 2 of 2 cells ran; run-tests: 2 tests: 2 passed"


def test_the_first_failure_decides_and_stands_on_top(reports: Path) -> None:
    write_report(reports, "execute-notebook", **FAILED)
    write_report(reports, "run-tests", **{**FAILED, "reason": "tests-failed", "message": "no"})

    outputs = run(reports, expect=("git-clone", "execute-notebook", "run-tests"))

    assert outputs.message == "the run failed: execute-notebook: KeyError"
    third = page(reports).splitlines()[2]
    assert third == "**execute-notebook failed** (cell-error, exit code 3): KeyError"


@pytest.mark.parametrize(
    ("exit_code", "reason", "kind"),
    [
        (2, "bad-input", ConfigurationError),
        (3, "cell-error", UserCodeError),
        (4, "network", ToolError),
    ],
)
def test_enforcing_ends_as_the_deciding_step_did(
    reports: Path, exit_code: int, reason: str, kind: type[StepError]
) -> None:
    values = {**FAILED, "reason": reason, "exit_code": exit_code}
    write_report(reports, "execute-notebook", **values)

    with pytest.raises(kind, match="execute-notebook: KeyError") as caught:
        run(reports, enforce=True)

    assert caught.value.reason == reason
    assert isinstance(caught.value.outputs, Outputs)
    assert caught.value.outputs.verdict == "failed"
    assert page(reports).startswith("# Notebook run: failed")


def test_enforcing_refuses_an_incomplete_run(reports: Path) -> None:
    with pytest.raises(UserCodeError, match="not run: run-tests"):
        run(reports, expect=("run-tests",), enforce=True)

    assert run(reports, enforce=True).verdict == "passed"


def test_tolerated_errors_are_part_of_the_verdict(reports: Path) -> None:
    write_report(reports, "run-tests", status="tolerated", message="1 allowed failure")

    assert run(reports, enforce=True).verdict == "passed with tolerated errors"

    write_report(reports, "run-tests", status="tolerated", outputs={"allowed": 2})
    outputs = run(reports, enforce=True)
    assert (outputs.verdict, outputs.tolerated) == ("passed with tolerated errors", 2)
    assert outputs.message == "the run passed with 2 tolerated errors"


def test_what_the_pipeline_saw_outranks_a_report(reports: Path) -> None:
    statuses = ("git-clone=Failed", "run-tests=Failed", "convert-notebook=None")

    outputs = run(reports, expect=("run-tests", "convert-notebook"), statuses=statuses)

    assert outputs.verdict == "failed"
    assert "its report says succeeded, the pipeline says that it failed" in page(reports)
    assert "the pipeline says that it failed; it left no report" in page(reports)
    assert "| convert-notebook | not run |" in page(reports)


def test_a_step_that_still_saves_may_finish_its_report(reports: Path) -> None:
    write_report(reports, "execute-notebook", **UNFINISHED)
    saving = threading.Timer(1.0, write_report, (reports, "execute-notebook"), SAVED)
    saving.start()

    outputs = run(reports, grace=60.0)

    saving.join()
    assert outputs.verdict == "cancelled"


def test_a_step_that_never_finishes_its_report_was_killed(reports: Path) -> None:
    write_report(reports, "execute-notebook", **UNFINISHED)

    assert run(reports, grace=0.2).verdict == "failed"


@pytest.mark.parametrize("why", ["FailureIgnored", "StepFailed"])
def test_a_step_that_was_killed_alone_is_not_waited_for(reports: Path, why: str) -> None:
    write_report(reports, "a", **UNFINISHED)
    later = threading.Timer(20.0, write_report, (reports, "a"))
    later.start()

    outputs = run(reports, statuses=(f"a=Failed/{why}",), grace=60.0)

    later.cancel()
    assert outputs.message == "the run failed: a: never ended"


@pytest.mark.parametrize(
    ("left", "why", "verdict", "line"),
    [
        pytest.param(
            None, "TaskRunCancelled", "cancelled",
            "(cancelled): the pipeline says that it was cancelled; it left no report",
            id="cancelled before it began",
        ),
        pytest.param(
            UNFINISHED, "TaskRunCancelled", "cancelled",
            "(cancelled): the pipeline says that it was cancelled",
            id="cancelled, then killed",
        ),
        pytest.param(
            {}, "TaskRunCancelled", "cancelled",
            "(cancelled): its report says succeeded, the pipeline says that it was cancelled",
            id="cancelled at its end",
        ),
        pytest.param(
            SAVED, "TaskRunCancelled", "cancelled", "(cancelled, exit code 143): saved",
            id="cancelled, and saved",
        ),
        pytest.param(
            FAILED, "TaskRunCancelled", "failed", "(cell-error, exit code 3): KeyError",
            id="failed before it was cancelled",
        ),
        pytest.param(
            SAVED, "TaskRunTimeout", "failed",
            "(timeout): the pipeline says that it took too long: saved",
            id="timed out, and saved",
        ),
        pytest.param(
            UNFINISHED, "TaskRunTimeout", "failed",
            "(timeout): the pipeline says that it took too long",
            id="timed out, then killed",
        ),
        pytest.param(
            None, "TaskRunImagePullFailed", "failed",
            "(killed): the pipeline says that it failed (TaskRunImagePullFailed); "
            "it left no report",
            id="no image",
        ),
        pytest.param(
            FAILED, "FailureIgnored", "failed", "(cell-error, exit code 3): KeyError",
            id="failed by itself",
        ),
        pytest.param(
            FAILED, "StepFailed", "failed", "(cell-error, exit code 3): KeyError",
            id="failed by itself, in the words of Tekton 1.12",
        ),
        pytest.param(
            UNFINISHED, "StepOOM", "failed",
            "(out-of-memory): the pipeline says that its container was killed for memory",
            id="killed for memory",
        ),
        pytest.param(
            None, "OOMKilled", "failed",
            "(out-of-memory): the pipeline says that its container was killed for memory; "
            "it left no report",
            id="killed for memory before it began",
        ),
        pytest.param(
            UNFINISHED, "PodEvicted", "failed",
            "(killed): the pipeline says that its pod was evicted",
            id="evicted",
        ),
    ],
)  # fmt: skip
def test_the_reason_of_the_pipeline_distinguishes_a_cancel_from_a_failure(
    reports: Path, left: dict[str, Any] | None, why: str, verdict: str, line: str
) -> None:
    if left is not None:
        write_report(reports, "a", **left)

    outputs = run(reports, expect=("a",), statuses=(f"a=Failed/{why}",))

    assert outputs.verdict == verdict
    assert f"**a {verdict}** {line}" in page(reports).splitlines()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"status": "failed", "reason": "killed", "ended": False}, "never ended"),
        ({"status": "failed", "reason": "cell-error", "ended": True}, "ended: failed (cell-error)"),
    ],
)
def test_a_step_that_ran_twice_is_named_although_it_passed(
    reports: Path, how: dict[str, Any], said: str
) -> None:
    write_report(reports, "a", earlier={"runs": 1, "started": "2026-11-22T07:00:00+00:00", **how})

    assert run(reports).verdict == "passed"
    line = f"a ran 2 times: the run that began at 2026-11-22T07:00:00+00:00 {said}."
    assert line in page(reports).splitlines()


def test_a_task_that_did_not_run_has_no_reason(reports: Path) -> None:
    outputs = run(reports, expect=("a",), statuses=("a=None/", "git-clone=Succeeded/Succeeded"))

    assert outputs.verdict == "incomplete"
    assert "| a | not run |" in page(reports)


def test_an_optional_task_that_failed_without_a_report_is_part_of_the_run(reports: Path) -> None:
    outputs = run(reports, statuses=("download-dataset=Failed", "clone-tests=None"))

    assert outputs.verdict == "failed"
    assert "**download-dataset failed** (killed): the pipeline says that it failed" in page(reports)
    assert "clone-tests" not in page(reports)


def test_a_failed_matrix_is_explained_by_the_reports_of_its_notebooks(reports: Path) -> None:
    write_report(reports, "nb.ipynb", step="execute-notebook", **FAILED)

    run(reports, expect=("git-clone", "nb.ipynb"), statuses=("execute-notebook=Failed/Failed",))

    assert "**nb.ipynb failed** (cell-error, exit code 3)" in page(reports)
    assert "left no report" not in page(reports)


@pytest.mark.parametrize(
    ("why", "verdict"), [("FailureIgnored", "failed"), ("TaskRunCancelled", "cancelled")]
)
def test_a_failed_matrix_without_a_failed_report_is_a_failure(
    tmp_path: Path, why: str, verdict: str
) -> None:
    reports = tmp_path / "reports"
    write_report(reports, "nb.ipynb", step="execute-notebook")

    outputs = run(reports, expect=("nb.ipynb",), statuses=(f"execute-notebook=Failed/{why}",))

    assert outputs.verdict == verdict
    assert f"| execute-notebook | **{verdict}** |" in page(reports)


def test_an_expected_report_is_never_looked_for_outside_of_the_directory(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    (reports / "nb").mkdir(parents=True)
    write_report(reports / "nb", "a.ipynb", step="execute-notebook")

    assert run(reports, expect=("/nb/a.ipynb",)).verdict == "passed"


def test_a_report_of_an_earlier_run_does_not_count(reports: Path) -> None:
    statuses = ("git-clone=Failed", "execute-notebook=None")
    down = {"reason": "network", "exit_code": 4, "message": "down"}
    write_report(reports, "git-clone", **{**FAILED, **down})

    run(reports, expect=("git-clone", "execute-notebook"), statuses=statuses)

    assert "| execute-notebook | not run |" in page(reports)
    assert "## Notebook" not in page(reports)


def test_a_step_that_makes_the_environment_of_tests_alone_has_no_totals(reports: Path) -> None:
    counts = {"total": 0, "passed": 0, "failed": 0, "errors": 0, "skipped": 0, "allowed": 0}
    made = {"step": "run-tests", "options": {"only-prepare": True}}
    write_report(reports, "prepare-tests", outputs=counts, **made)

    run(reports)

    assert "| prepare-tests | succeeded |" in page(reports)
    assert "## Tests (prepare-tests)" not in page(reports)


def test_test_totals_come_from_the_report_or_are_unknown(reports: Path) -> None:
    counts = {"total": 7, "passed": 5, "failed": 1, "errors": 0, "skipped": 0, "allowed": 1}
    failures = [
        {"name": "test_a", "message": "<b>5 | 6</b>", "allowed": False, "reason": ""},
        {"name": "test_b", "message": "no", "allowed": True, "reason": "issue 5"},
    ]
    outputs = {**counts, "coverage": 87.5, "failures": failures}
    outputs |= {"installer": "pip", "installer-reason": "the repository has a pyproject.toml"}
    write_report(reports, "run-tests", status="failed", reason="tests-failed", outputs=outputs)
    write_report(reports, "other-tests", step="run-tests", status="failed", message="no JUnit file")

    run(reports)

    text = page(reports)
    counted = "5 of 7 passed, 1 failed, 1 allowed to fail, coverage of the tests' repository 87.5 %"
    assert f"## Tests (run-tests): {counted}\n" in text
    assert r"- `test_a`: &lt;b&gt;5 \| 6&lt;/b&gt;" in text
    assert "- `test_b`: no (allowed: issue 5)" in text
    assert "## Tests (other-tests): totals unknown" in text


def test_artifacts_are_linked_when_they_lie_beside_the_summary(
    reports: Path, tmp_path: Path
) -> None:
    inside = {"path": f"{tmp_path}/out/a.html", "size": 1_500_000, "sha256": "ab" * 32}
    outside = {"path": "/elsewhere/b.log", "size": 10, "sha256": "cd" * 32}
    write_report(reports, "convert-notebook", artifacts=[inside, outside])

    run(reports)

    assert "| [`a.html`](a.html) | 1.5 MB |" in page(reports)
    assert "| `/elsewhere/b.log` | 10 B |" in page(reports)


@pytest.mark.parametrize(
    "content",
    ["", "not json", "[]", '{"schema": "other/1"}', '{"schema": "stepkit.report/1"}'],
)
def test_a_report_that_cannot_be_read_is_a_failure(reports: Path, content: str) -> None:
    (reports / "convert-notebook.json").write_text(content)

    assert run(reports).verdict == "failed"
    assert "its report convert-notebook.json cannot be read" in page(reports)
    assert "see how the step ended in its log, and run it again" in page(reports)
    assert "see all options" not in page(reports)


def test_its_own_unfinished_report_does_not_count(reports: Path) -> None:
    write_report(reports, "summarize", **UNFINISHED)

    assert run(reports).verdict == "passed"


@pytest.mark.parametrize("made", [True, False])
def test_an_empty_workspace_is_an_error_and_still_has_its_page(tmp_path: Path, made: bool) -> None:  # noqa: FBT001
    reports = tmp_path / "reports"
    if made:
        reports.mkdir()

    with pytest.raises(
        ConfigurationError, match=r"there are no reports in .*: nothing ran"
    ) as caught:
        run(reports, expect=("git-clone",))

    assert caught.value.reason == Reason.NOT_FOUND
    assert "| git-clone | not run |" in page(reports)
    assert "**Not run:** git-clone" in page(reports)


def test_adds_to_githubs_summary_and_keeps_what_is_there(reports: Path, tmp_path: Path) -> None:
    github = tmp_path / "github.md"
    github.write_text("before\n")

    run(reports, github_summary=github)

    # There is no file beside the summary of a job.
    without_links = page(reports).replace("Open: [report with timeline](report.html)\n\n", "")
    assert without_links != page(reports)
    assert github.read_text() == "before\n" + without_links


@pytest.mark.parametrize("github", [False, True])
def test_a_summary_that_cannot_be_written_hides_no_verdict(
    reports: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, *, github: bool
) -> None:
    write_report(reports, "execute-notebook", **FAILED)
    unusable = tmp_path / ("github.md" if github else "out/STEP_SUMMARY.md")
    unusable.mkdir(parents=True)
    given: Any = {"github_summary": unusable} if github else {}

    with pytest.raises(ConfigurationError, match=r"Is a directory|is not a regular") as caught:
        run(reports, **given)
    with pytest.raises(UserCodeError, match="KeyError"):
        run(reports, enforce=True, **given)

    outputs = caught.value.outputs
    assert isinstance(outputs, summarize.Outputs)
    assert (outputs.verdict, bool(outputs.summary)) == ("failed", github)
    assert outputs.run
    assert outputs.run.exists()
    assert (tmp_path / "out/STEP_SUMMARY.md").is_file() == github
    assert str(unusable) in caplog.text


def test_an_older_summary_is_replaced(reports: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/STEP_SUMMARY.md").write_text("of another run")

    run(reports)

    assert "of another run" not in page(reports)


def test_a_status_without_the_name_of_its_task_is_refused(reports: Path) -> None:
    with pytest.raises(ConfigurationError, match="'Failed' is not NAME=STATUS"):
        run(reports, statuses=("Failed",))


CELL = {"number": 1, "seconds": 7.5, "title": "x", "injected": "", "status": "error",
        "error": {"ename": "E", "evalue": "v"}}  # fmt: skip
TOLERATED = {**CELL, "status": "tolerated", "tolerance": "r"}
CHANGE = {"rule": "set", "cell": 1, "id": "i", "what": "w", "applied": False}
NOTEBOOK = {"name": "n", "status": "tolerated", "message": "m", "until": "u", "seconds": 1.5,
            "cells_run": 1, "cells_total": 2, "tolerated": 1, "report": "/r/odd.json"}  # fmt: skip
FULL: dict[str, dict[str, Any]] = {
    "execute-notebook": {
        "cells-run": 1, "cells-total": 2, "cells": [CELL, TOLERATED], "variant": "v",
        "changes": [CHANGE],
    },
    "execute-notebooks": {"total": 1, "notebooks": [NOTEBOOK]},
    "run-tests": {
        "total": 1, "passed": 0, "failed": 1, "errors": 0, "skipped": 0, "allowed": 0,
        "coverage": 1.0, "installer": "pip", "installer-reason": "r",
        "failures": [{"name": "t", "message": "m", "allowed": True, "reason": "r"}],
    },
    "git-clone": {"commit": "1234"},
}  # fmt: skip
HOSTILE = "a\n\n<script>x</script> | [l](http://x) \x1b \ud800 # `"
MISSING = object()
ODD_TEXTS: list[Any] = [HOSTILE, {"a": HOSTILE}]
ODD: list[Any] = [None, True, -1, 3, 1.5, float("nan"), float("inf"), 10**400, "", [], [[]], {},
                  *ODD_TEXTS, MISSING]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in list(pairs):
            yield from places(inner, (*path, key))


def changed(data: dict[str, Any], path: tuple[Any, ...], value: object) -> dict[str, Any]:
    data = copy.deepcopy(data)
    inner: Any = data
    for key in path[:-1]:
        inner = inner[key]
    if value is MISSING:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return data


@pytest.mark.parametrize(
    "step",
    [
        name if name == "execute-notebook" else pytest.param(name, marks=pytest.mark.slow)
        for name in FULL
    ],
)
@pytest.mark.parametrize(
    "odd", [[MISSING, -1, HOSTILE], pytest.param(ODD, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_a_report_with_one_odd_value_still_gives_a_whole_and_harmless_page(
    tmp_path: Path, step: str, odd: list[Any]
) -> None:
    directory = tmp_path / "reports"
    write_report(directory, "other")
    artifact = {"path": str(tmp_path / "out/a"), "size": 1, "sha256": "ab" * 32}
    write_report(directory, step, outputs=FULL[step], artifacts=[artifact])
    usual = json.loads((directory / f"{step}.json").read_text())
    (directory / f"{step}.json").unlink()
    for path in places(usual):
        for value in odd:
            text = json.dumps(changed(usual, path, value))
            (directory / "odd.json").write_text(text)

            run(directory, github_summary=tmp_path / "github.md")

            shown = page(directory)
            if value in ODD_TEXTS:
                rendered = Rendered(shown)
                assert not rendered.foreign, (path, value)
                assert "http://x" not in rendered.links.values(), (path, value)
            assert "\x1b" not in shown, (path, value)
            assert "| other | succeeded |" in shown, (path, value)
            row = next(line for line in shown.splitlines() if line.startswith("| odd |"))
            assert row.endswith(" |"), (path, value)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"outputs": []}, r"outputs must be a mapping, not \[\]"),
        ({"seconds": float("nan")}, 'seconds must be a number, not "NaN"'),
        ({"seconds": 10**400}, "seconds is too large a number"),
        ({"schema": "other/1"}, 'schema cannot be "other/1": it is an unknown schema'),
        ({"status": "fine"}, "status 'fine' is not one of "),
        ({"artifacts": None}, "artifacts must be a list, not null"),
        ({"versions": {"a": 1}}, "versions.a must be text, not 1"),
        ({"step": "execute-notebook", "outputs": {"cells": [{}]}},
         r"outputs.cells\[0\] needs number and seconds"),
    ],
)  # fmt: skip
def test_the_part_of_a_report_that_is_wrong_is_named(
    reports: Path, values: dict[str, Any], why: str
) -> None:
    write_report(reports, "bad", **values)

    assert run(reports).verdict == "failed"
    assert f"its report bad.json cannot be read: {why}" in page(reports)


def test_a_report_that_nests_too_deep_or_is_a_pipe_is_one_failure(reports: Path) -> None:
    (reports / "deep.json").write_text("[" * 200_000)
    os.mkfifo(reports / "pipe.json")

    assert run(reports).verdict == "failed"
    assert "its report deep.json cannot be read: it nests too deep" in page(reports)
    assert "its report pipe.json cannot be read: it is not a regular file" in page(reports)


@pytest.mark.parametrize("status", ["succeeded", "tolerated"])
def test_a_success_with_another_exit_code_is_a_failure(reports: Path, status: str) -> None:
    write_report(reports, "run-tests", status=status, exit_code=3)

    with pytest.raises(UserCodeError, match=f"says {status}, but its exit code is 3"):
        run(reports, enforce=True)


def test_a_file_name_cannot_break_out_of_its_link(reports: Path, tmp_path: Path) -> None:
    name = f"{tmp_path}/out/a>)<script>|\n.html"
    write_report(reports, "x", artifacts=[{"path": name, "size": 1, "sha256": "`<b>`"}])

    run(reports)

    shown = Rendered(page(reports))
    assert shown.links["a>)<script>| .html"] == "a%3E%29%3Cscript%3E%7C%0A.html"
    assert len(shown.links) == 2, "that of report.html, too"
    assert not shown.foreign


def test_a_lone_report_that_cannot_be_read_is_not_called_missing(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/bad.json").write_text("{")

    assert "bad: its report bad.json cannot be read" in run(tmp_path / "reports").message


def test_the_summary_has_a_second_name_where_a_reader_looks_for_that(reports: Path) -> None:
    run(reports, copy_as="STEP_SUMMARY_LITE.md")

    written = {path.name for path in (reports.parent / "out").iterdir()}
    assert written == {
        *("STEP_SUMMARY.md", "STEP_SUMMARY_LITE.md"),
        *("run.json", "metadata.json", "report.html"),
    }
    assert (reports.parent / "out/STEP_SUMMARY_LITE.md").read_text() == page(reports)


@pytest.mark.parametrize("name", ["../up.md", "in/it.md", "/abs.md", "out.ipynb", ".md", ".."])
def test_a_second_name_that_is_not_a_markdown_file_beside_the_summary_writes_only_the_first(
    reports: Path, name: str
) -> None:
    (reports.parent / "out").mkdir()
    (reports.parent / "out/out.ipynb").write_text("an executed notebook")

    with pytest.raises(ConfigurationError, match=r"^--copy-as '.+' is not the name of a Markdown "):
        run(reports, copy_as=name)

    written = {path.name for path in (reports.parent / "out").iterdir()}
    assert written == {"STEP_SUMMARY.md", "run.json", "metadata.json", "report.html", "out.ipynb"}
    assert (reports.parent / "out/out.ipynb").read_text() == "an executed notebook"
    assert page(reports).startswith("# ")


def test_a_second_summary_that_cannot_be_written_fails_the_step_and_spares_the_first(
    reports: Path,
) -> None:
    (reports.parent / "out/copy.md/x").mkdir(parents=True)

    with pytest.raises(StepError, match=r"copy\.md"):
        run(reports, copy_as="copy.md")

    assert page(reports).startswith("# ")
