"""A run in a few lines: what decided, the line that failed, how long, of which commit."""

from typing import Any

import pytest
import run_records

from stepkit.report import short_message

LINK = "https://pages.example.com/run-7/"
TOOK = "97959ef3c1a9 of https://github.com/example/notebooks"


def body(record: Any) -> list[str]:
    return short_message.render(record, link=LINK).body.splitlines()


def test_a_failed_cell_is_shown_by_its_line_and_its_exception() -> None:
    record = run_records.failed()
    assert record["cause"]
    record["cause"]["message"] = "cell 12 of 14 failed"

    assert short_message.render(record, link=LINK).title == f"{record['title']}: failed"
    assert body(record) == [
        "execute-notebook failed (cell-error): cell 12 of 14 failed",
        '> scores(adata, "pca")',
        "KeyError: 'pca'",
        "scrna_preprocessing.ipynb: 12 of 14 cells ran",
        f"took 22.7 s, {TOOK}",
        LINK,
    ]


def test_what_the_cause_says_is_not_said_again() -> None:
    record = run_records.failed()
    assert record["cause"]
    record["cause"]["message"] = """cell 12 of 14 (`scores(adata, "pca")`) raised KeyError: 'pca'"""

    assert not any("pca" in line for line in body(record)[1:])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("failed_tests", ["AssertionError: assert 11 == 12"]),
        (
            "killed_kernel",
            ["computing scores of 65,662 cells", "matrix: X_pca, X_umap"],
        ),
        ("cancelled", []),
        ("passed", []),
    ],
)
def test_evidence_is_what_says_most(name: str, shown: list[str]) -> None:
    assert short_message.evidence(run_records.RUNS[name]()) == shown


def test_of_several_notebooks_those_that_failed_are_named() -> None:
    lines = body(run_records.batch())

    assert "5 of 6 notebooks passed" in lines
    assert "cluster.ipynb failed: cell 5 of 10 raised KeyError: 'pca'" in lines


def test_a_run_that_left_nothing_says_what_did_not_run() -> None:
    assert body(run_records.empty()) == ["not run: git-clone, execute-notebook", LINK]


def test_names_in_the_evidence_call_nobody() -> None:
    record = run_records.failed()
    assert record["cause"]
    record["cause"]["error"] = run_records.error(ename="<!channel>", evalue="@all\nmore \x1b[2J")

    assert "<\u200b!channel>: @\u200ball" in body(record)


@pytest.mark.parametrize("name", run_records.RUNS)
def test_a_machine_gets_the_same_as_fields(name: str) -> None:
    record = run_records.RUNS[name]()
    found, cause = short_message.fields(record), record["cause"]

    assert found["reason"] == (cause["reason"] if cause else "")
    assert found["duration_ms"] == record["duration_ms"]
    assert [one["status"] for one in found["notebooks"]] == [
        one["status"] for one in record["notebooks"]
    ]
    assert [one["passed"] for one in found["tests"]] == [one["passed"] for one in record["tests"]]
    assert [one["commit"] for one in found["repositories"]] == [
        one["commit"] for one in record["repositories"]
    ]
