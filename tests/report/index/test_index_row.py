"""A row of the index, from the record of a run, whatever is in that file."""

import json
from typing import Any

import pytest
import run_records

from stepkit.report.index import index_row
from stepkit.report.index.runs_json import RowJson


def row_of(record: Any) -> RowJson:
    return index_row.row(json.dumps(record).encode(), "a/run.json", "1", "a/report.html")


def test_a_row_has_what_the_index_shows() -> None:
    record = run_records.failed()

    assert row_of(record) == {
        "path": "a/run.json",
        "version": "1",
        "unreadable": "",
        "id": "run-20261130-101500",
        "title": "notebooks/scrna_preprocessing.ipynb",
        "verdict": "failed",
        "cause": "execute-notebook: cell 12 of 14 raised KeyError: 'pca'",
        "started": "2026-11-30T10:15:00.120+00:00",
        "duration_ms": record["duration_ms"],
        "commit": run_records.COMMIT,
        "commit_url": f"https://github.com/example/notebooks/commit/{run_records.COMMIT}",
        "notebooks": [
            {
                "name": "scrna_preprocessing",
                "path": "notebooks/scrna_preprocessing.ipynb",
                "variant": "",
                "status": "failed",
                "duration_ms": record["notebooks"][0]["duration_ms"],
            }
        ],
        "tests_passed": None,
        "tests_total": None,
        "gpu": "NVIDIA H100 80GB HBM3",
        "gpu_peak": record["notebooks"][0]["gpu_peak"],
        "gpu_utilisation": 61.4,
        "flaky": 0,
        "reused": 0,
        "regressions": 0,
        "report": "a/report.html",
    }


@pytest.mark.parametrize("name", run_records.RUNS)
def test_every_record_has_a_row_that_a_later_run_takes_over(name: str) -> None:
    found = row_of(run_records.RUNS[name]())

    assert found["unreadable"] == ""
    assert index_row.is_row(json.loads(json.dumps(found)))


def test_a_notebook_that_never_ran_is_the_one_that_the_title_names_without_a_commit() -> None:
    found = row_of(run_records.not_checked_out())

    assert (found["commit"], found["commit_url"]) == ("", "")
    assert found["notebooks"] == [
        {
            "name": "scrna_preprocessing",
            "path": "notebooks/scrna_preprocessing.ipynb",
            "variant": "",
            "status": "failed",
            "duration_ms": None,
        }
    ]
    assert row_of({**run_records.not_checked_out(), "title": "Nightly"})["notebooks"] == []


def test_the_commit_is_that_of_the_notebook_not_that_of_the_first_checkout() -> None:
    record = run_records.run()
    record["repositories"].insert(0, run_records.not_checked_out()["repositories"][1])
    record["notebooks"][0]["repository"] = 1

    assert row_of(record)["commit"] == run_records.COMMIT
    record["notebooks"][0]["repository"] = 7
    assert row_of(record)["commit"] == ""


def test_a_long_cause_ends_with_a_whole_word() -> None:
    record = run_records.failed()
    assert record["cause"]
    record["cause"]["message"] = "unbelievable " * 20

    assert row_of(record)["cause"] == f"execute-notebook:{' unbelievable' * 6}\u2026"


def test_of_one_notebook_the_tests_count_and_of_several_each_has_its_own_status() -> None:
    assert [n["status"] for n in row_of(run_records.failed_tests())["notebooks"]] == ["failed"]
    assert [n["status"] for n in row_of(run_records.batch())["notebooks"]] == [
        "passed", "passed", "failed", "passed", "passed", "passed"
    ]  # fmt: skip


def test_a_flaky_run_and_its_notebook_are_flaky() -> None:
    found = row_of(run_records.flaky())

    assert (found["verdict"], found["notebooks"][0]["status"], found["flaky"]) == (
        "flaky",
        "flaky",
        1,
    )


def test_utilisation_is_a_mean_by_time_and_flaky_and_reused_are_counted() -> None:
    record = run_records.batch()
    for notebook, (length, mean) in zip(
        record["notebooks"], [(1000, 90.0), (3000, 10.0)], strict=False
    ):
        notebook["duration_ms"] = length
        notebook["gpu"] = run_records.gpu(devices=[run_records.device(utilisation_mean=mean)])
    for notebook in record["notebooks"][2:]:
        notebook["gpu"] = None
    record["notebooks"][0]["status"], record["notebooks"][1]["status"] = "flaky", "reused"

    found = row_of(record)

    assert (found["gpu_utilisation"], found["flaky"], found["reused"]) == (30.0, 1, 1)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b'{"schema": "stepkit.run/1", "verd', "it is not whole"),
        (b"\xff\xfe", "it is not whole"),
        (b"[" * 100_000, "it is not whole"),
        (b"[]", "it is not the record of a run (stepkit.run/1)"),
        (b'{"schema": "stepkit.run/2"}', "it is not the record of a run (stepkit.run/1)"),
        (b'{"schema": "stepkit.run/1", "run": "x"}', "it is not the record of a run"),
    ],
)
def test_what_is_not_a_record_says_why(content: bytes, why: str) -> None:
    found = index_row.row(content, "a/run.json", "1", "")

    assert found["unreadable"].startswith(why)
    assert index_row.is_row(found)


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "fine"},
        {"verdict": ["passed"]},
        {"notebooks": None},
        {"notebooks": [{}]},
        {"identity": "x"},
        {"tests": [1]},
        {"environment": {"gpus": [None]}},
        {"repositories": [{"commit": 1}, 2]},
        {"cause": "why"},
    ],
)
def test_a_record_with_a_field_of_another_type_is_unreadable_or_lacks_it(change: Any) -> None:
    found = row_of({**run_records.run(), **change})

    assert found["unreadable"] or found["commit"] == ""
    assert index_row.is_row(found)


def test_hostile_values_are_cut_or_left_out() -> None:
    record = run_records.run(
        title="x" * 10_000 + "\n<script>",
        started="2026-13-77",
        duration_ms=10**400,
        headline="\ud800",
    )
    record["notebooks"][0]["gpu_peak"] = -1
    record["notebooks"][0]["name"] = "a\x00\nb\ud800"

    found = row_of(record)

    assert (found["started"], found["duration_ms"], found["gpu_peak"]) == (None, None, None)
    assert len(found["title"]) == 120
    assert found["notebooks"][0]["name"] == "a\x00 b?"


def test_a_row_of_another_shape_is_not_taken_over() -> None:
    whole = row_of(run_records.run())

    assert index_row.is_row(whole)
    for change in ({"started": 3}, {"started": "x"}, {"path": None}, {"notebooks": [1]}):
        assert not index_row.is_row({**whole, **change})
    assert index_row.is_row({**whole, "more": 1})  # of a later stepkit
    assert not index_row.is_row({"path": "a"})
    assert not index_row.is_row([])
