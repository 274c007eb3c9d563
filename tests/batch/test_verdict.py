from pathlib import Path
from typing import Any

import pytest

from stepkit.batch import verdict as batch_verdict
from stepkit.batch.planned_notebook import NotebookRun
from stepkit.errors import (
    ConfigurationError,
    Evidence,
    Place,
    Reason,
    StepError,
    ToolError,
    UserCodeError,
)


def run(name: str, status: Any, **more: Any) -> NotebookRun:
    return NotebookRun(name=name, path=Path(f"{name}.ipynb"), status=status, **more)


def failed(name: str, exit_code: int, reason: Reason, message: str = "broke") -> NotebookRun:
    return run(name, "failed", exit_code=exit_code, reason=reason, message=message)


GOOD = run("a", "passed")


def error(*runs: NotebookRun) -> StepError:
    found = batch_verdict.error(runs)
    assert found is not None
    return found


def test_a_run_in_which_all_passed_has_no_error() -> None:
    assert batch_verdict.error([GOOD, run("b", "passed")]) is None
    assert batch_verdict.sentence([GOOD, run("b", "passed")]) == "2 of 2 notebooks passed"


def test_evidence_and_place_of_the_notebook_that_decided_are_kept() -> None:
    shown = Evidence(ename="KeyError")
    place = Place(title="cell 1 of 2")
    bad = run("b", "failed", exit_code=3, reason=Reason.CELL_ERROR, error=shown, place=place)

    kept = error(GOOD, failed("c", 4, Reason.NETWORK), bad)

    assert kept.evidence is shown
    assert kept.place is place


def test_a_reused_notebook_that_was_flaky_is_not_said_to_have_passed() -> None:
    runs = [GOOD, run("b", "reused", was_flaky=True, tolerated=1), run("c", "reused")]

    assert batch_verdict.sentence(runs) == (
        "1 tolerated error: 1 of 3 notebooks passed, 2 reused (1 flaky)"
    )


def test_a_run_with_a_flaky_notebook_is_not_said_to_have_passed() -> None:
    runs = [GOOD, run("b", "flaky"), run("c", "tolerated", tolerated=2)]

    assert batch_verdict.error(runs) is None
    assert batch_verdict.sentence(runs) == (
        "2 tolerated errors: 1 of 3 notebooks passed, 1 with tolerated errors, 1 flaky"
    )


def test_tolerated_errors_are_counted_first() -> None:
    runs = [GOOD, run("b", "tolerated", tolerated=2)]

    assert batch_verdict.error(runs) is None
    assert batch_verdict.sentence(runs) == (
        "passed with 2 tolerated errors: 1 of 2 notebooks passed, 1 with tolerated errors"
    )
    one = batch_verdict.sentence([run("b", "tolerated", tolerated=1)])
    assert one.startswith("passed with 1 tolerated error:")


def test_a_skipped_notebook_is_named_with_reason_and_date() -> None:
    runs = [GOOD, run("b", "skipped", message="UCX", until="2027-01-01")]

    sentence = "1 of 2 notebooks passed, 1 skipped (b: UCX until 2027-01-01)"
    assert batch_verdict.sentence(runs) == sentence


@pytest.mark.parametrize(
    ("codes", "kind", "name"),
    [
        ((4, 2, 3), UserCodeError, "c"),
        ((4, 2, 4), ConfigurationError, "b"),
        ((4, 4, -9), ToolError, "a"),
        ((-9, 4, 4), ToolError, "a"),
        ((1, 143, 4), ToolError, "a"),
    ],
)
def test_the_worst_kind_decides_and_its_first_notebook_is_named(
    codes: tuple[int, ...], kind: type[StepError], name: str
) -> None:
    reasons = {2: Reason.BAD_INPUT, 3: Reason.CELL_ERROR, 4: Reason.KERNEL_DIED}
    reasons_of = [reasons.get(code, Reason.KILLED) for code in codes]
    runs = list(map(failed, "abc", codes, reasons_of))

    found = error(GOOD, *runs)

    assert type(found) is kind
    assert str(found) == f"{name}: broke; 1 of 4 notebooks passed, 3 failed"
    assert found.reason == next(r.reason for r in runs if r.name == name)


def test_a_run_in_which_all_were_skipped_is_an_error() -> None:
    found = error(run("a", "skipped", message="UCX"), run("b", "skipped", message="slow"))

    assert type(found) is ConfigurationError
    assert str(found) == "0 of 2 notebooks ran, all skipped: a: UCX; b: slow"


def test_the_table_has_a_line_for_each_notebook() -> None:
    runs = [
        run("long name", "passed", seconds=1.25, exit_code=0, message="2 of 2 cells ran"),
        run("b", "not-run", message="needs x, which failed"),
        run("c", "skipped", message="UCX", until="2027-01-01"),
    ]

    assert list(batch_verdict.table(runs)) == [
        "long name  passed         1.2 s  2 of 2 cells ran",
        "b          not run               needs x, which failed",
        "c          skipped               UCX (until 2027-01-01)",
    ]
