"""Notebooks in the summary: tolerated errors, several of them, what rules changed."""

from pathlib import Path
from typing import Any

import pytest
from step_reports import load, summary, write_report


def write(directory: Path, name: str, step: str = "execute-notebook", **values: Any) -> None:
    write_report(directory, name, step=step, **values)


def cell(number: int, status: str = "ok", **more: Any) -> dict[str, Any]:
    usual = {"number": number, "seconds": 1.0, "title": f"step_{number}()",
             "injected": "", "status": status, "error": None}  # fmt: skip
    return {**usual, **more}


def cells(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"cells-run": len(items), "cells-total": len(items), "cells": list(items), **more}


TOLERATED = cell(5, "tolerated", error={"ename": "KeyError", "evalue": "'pca' | x"},
                 tolerance="see <issue> 7")  # fmt: skip


def item(name: str, status: str, **more: Any) -> dict[str, Any]:
    usual = {"name": name, "status": status, "message": "", "until": "", "seconds": 0.0,
             "cells_run": None, "cells_total": None, "tolerated": 0, "report": None}  # fmt: skip
    return {**usual, **more}


def page(directory: Path) -> str:
    return summary(directory)


def test_a_tolerated_error_is_counted_in_the_verdict_and_listed_with_its_reason(
    tmp_path: Path,
) -> None:
    write(tmp_path, "execute-notebook", status="tolerated", outputs=cells(cell(1), TOLERATED))

    assert load(tmp_path).verdict == "passed with tolerated errors"
    text = page(tmp_path)
    assert text.startswith("# Run: passed with 1 tolerated error\n")
    assert r"- Cell 5 (`step_5()`) raised KeyError: 'pca' \| x: see &lt;issue&gt; 7" in text


def test_a_cell_that_a_rule_injected_is_not_taken_for_the_parameters(tmp_path: Path) -> None:
    parameters = cell(0, title="n = 1", injected="parameters")
    injected = cell(0, "error", title="seed()", injected="rule", error={"ename": "E"})
    outputs = cells(parameters, injected, cell(1))
    write(
        tmp_path,
        "execute-notebook",
        status="failed",
        reason="cell-error",
        exit_code=3,
        outputs=outputs,
    )

    text = page(tmp_path)

    assert "| parameters | 1.0 s | 33 % |  | `n = 1` |" in text
    assert "| injected | 1.0 s | 33 % | **error** | `seed()` |" in text
    assert "A cell injected by a rule (`seed()`) raised **E**" in text


def test_tolerated_errors_of_a_failed_run_are_listed_too(tmp_path: Path) -> None:
    failed = cell(6, "error", error={"ename": "E", "evalue": "v"})
    write(tmp_path, "execute-notebook", status="failed", exit_code=3,
          outputs=cells(TOLERATED, failed))  # fmt: skip

    text = page(tmp_path)

    assert text.startswith("# Run: failed\n")
    assert "## Why\n\nCell 6 (`step_6()`) raised **E: v**\n" in text
    assert "- Cell 5 (`step_5()`) raised" in text


def test_the_verdict_has_no_count_if_one_step_does_not_give_it(tmp_path: Path) -> None:
    write(tmp_path, "execute-notebook", status="tolerated", outputs=cells(TOLERATED))
    write(tmp_path, "other", "some-step", status="tolerated")

    assert load(tmp_path).headline == "passed with tolerated errors"


def test_allowed_test_failures_count(tmp_path: Path) -> None:
    write(tmp_path, "execute-notebook", status="tolerated", outputs=cells(TOLERATED))
    write(tmp_path, "run-tests", "run-tests", status="tolerated", outputs={"allowed": 2})

    assert load(tmp_path).headline == "passed with 3 tolerated errors"


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """Write the report of a run of four notebooks, two of which left a report there."""
    rows = [
        item("01", "passed", message="2 of 2 cells ran", seconds=75.0, cells_run=2, cells_total=2,
             report="/out/reports/01_lite.json"),
        item("02", "tolerated", tolerated=1, report="/out/reports/02_lite.json"),
        item("03", "skipped", message="UCX | dies", until="2027-01-01"),
        item("04", "tolerated", tolerated=2, report="/elsewhere/04.json"),
    ]  # fmt: skip
    write(tmp_path, "execute-notebooks", "execute-notebooks", status="tolerated",
          message="all well", outputs={"total": 4, "notebooks": rows})  # fmt: skip
    write(tmp_path, "01_lite", outputs=cells(cell(1), cell(2)), message="2 of 2 cells ran")
    write(tmp_path, "02_lite", status="tolerated", outputs=cells(TOLERATED))
    return tmp_path


def test_several_notebooks_have_a_row_each(several: Path) -> None:
    text = page(several)

    assert "## Notebooks: 3 of 4 passed" in text
    assert "| 01 | passed | 2 of 2 | 1.5 s | 2 of 2 cells ran |" in text
    assert r"| 03 | skipped |  |  | UCX \| dies (until 2027-01-01) |" in text


def test_nothing_is_counted_or_shown_as_a_step_twice(several: Path) -> None:
    text = page(several)

    assert text.startswith("# Run: passed with 3 tolerated errors\n")
    assert text.splitlines()[2] == "execute-notebooks: all well"
    assert "| execute-notebooks | tolerated | 1.5 s | all well |" in text
    assert "| 01_lite |" not in text
    assert "<details><summary>01: 2 of 2 cells ran</summary>\n\n## 01: 2 of 2 cells ran\n" in text
    assert "- Cell 5 (`step_5()`)" in text


def test_a_notebook_whose_report_says_otherwise_stays_among_the_steps(several: Path) -> None:
    write(several, "01_lite", status="failed", exit_code=3, reason="cell-error", message="broke")

    text = page(several)

    assert text.startswith("# Run: failed\n")
    assert "| `01_lite` | **failed** | 1.5 s | broke |" in text


def test_notebooks_that_did_not_pass_stand_out(tmp_path: Path) -> None:
    rows = [
        item("a", "failed", message="<b>boom</b>"),
        item("b", "cancelled"),
        item("c", "not-run", message="needs a, which failed"),
    ]
    write(tmp_path, "nightly", "execute-notebooks", status="failed", exit_code=3,
          outputs={"notebooks": rows})  # fmt: skip

    text = page(tmp_path)

    assert "## Notebooks: 0 of 3 passed" in text
    assert "| a | **failed** |  |  | &lt;b&gt;boom&lt;/b&gt; |" in text
    assert "| b | **cancelled** |" in text
    assert "| c | not run |  |  | needs a, which failed |" in text


def change(number: int, **more: Any) -> dict[str, Any]:
    return {"rule": "set", "cell": number, "id": f"c{number}", "what": f"N = {number}", **more}


def test_what_rules_changed_is_listed(tmp_path: Path) -> None:
    changes = [
        change(3, what="OUT_DIR = <out> | x"),
        change(0, id=""),
        change(4, rule="kernel-shutdown", applied=False, what="it is the last"),
    ]
    outputs = cells(cell(1), changes=changes, variant="li_te")
    write(tmp_path, "execute-notebook", outputs=outputs)

    text = page(tmp_path)

    assert "### Changed by rules (variant li_te)" in text
    assert r"- set: cell 3 (c3): OUT_DIR = &lt;out&gt; \| x" in text
    assert "- set: N = 0" in text
    assert "- kernel-shutdown: cell 4 (c4): not applied: it is the last" in text
    assert "more</summary>" not in text


def test_more_than_twenty_changes_are_folded(tmp_path: Path) -> None:
    changes = [change(number) for number in range(1, 26)]
    write(tmp_path, "execute-notebook", outputs={"changes": changes})

    shown, _, folded = page(tmp_path).partition("<details><summary>5 more</summary>")

    assert shown.count("- set:") == 20
    assert folded.partition("</details>")[0].count("- set:") == 5
    assert "## Notebook\n" in shown


def test_a_variant_without_a_change_says_so_and_older_reports_say_nothing(tmp_path: Path) -> None:
    write(tmp_path, "new", outputs=cells(cell(1), variant="lite", changes=[]))
    write(tmp_path, "old", outputs=cells(cell(1)))

    text = page(tmp_path)

    assert text.count("Changed by rules") == 1
    assert "### Changed by rules (variant lite)\n\nNo cell was changed." in text


@pytest.mark.parametrize(
    ("step", "outputs", "why"),
    [
        ("execute-notebook", {"changes": [{}]},
         "outputs.changes[0] needs rule and cell and id and what"),
        ("execute-notebook", {"changes": "x"}, 'outputs.changes must be a list or null, not "x"'),
        ("execute-notebook", {"variant": 1}, "outputs.variant must be text or null, not 1"),
        ("execute-notebook", {"cells": [cell(1, tolerance=None)]},
         "outputs.cells[0].tolerance must be text, not null"),
        ("execute-notebook", {"changes": [change(1, applied=2)]},
         "outputs.changes[0].applied must be true or false, not 2"),
        ("execute-notebooks", {"notebooks": [item("a", "passed", tolerated="x")]},
         'outputs.notebooks[0].tolerated must be a whole number, not "x"'),
        ("execute-notebooks", {"total": []},
         "outputs.total must be a whole number or null, not []"),
    ],
)  # fmt: skip
def test_a_wrong_shape_is_named(
    tmp_path: Path, step: str, outputs: dict[str, Any], why: str
) -> None:
    write(tmp_path, "bad", step, outputs=outputs)

    (entry,) = load(tmp_path).entries

    assert entry.status == "failed"
    assert entry.message == f"its report bad.json cannot be read: {why}"


@pytest.mark.parametrize(
    ("rules", "line"),
    [
        (
            "{run}/tests/ci/r.yaml",
            "The rules are those of `ci/r.yaml` in checks at `0123456789ab`.",
        ),
        ("/r.yaml", "The rules are those of `/r.yaml`, which is in no repository of this run."),
    ],
)
def test_a_summary_says_where_the_rules_came_from(tmp_path: Path, rules: str, line: str) -> None:
    checkout = {
        "checkout": str(tmp_path / "tests"),
        "commit": "0123456789abcdef",
        "url": "x/checks",
    }
    write(tmp_path / "reports", "clone-tests", "git-clone", outputs=checkout)
    options = {"rules": rules.format(run=tmp_path)}
    write(tmp_path / "reports", "execute-notebook", outputs=cells(cell(1)), options=options)

    assert f"### Changed by rules\n\n{line}\n" in page(tmp_path / "reports")
