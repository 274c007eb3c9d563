"""What the index says of the last days and of each notebook."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from stepkit.report.index import index_row
from stepkit.report.index.gather_runs import TARGETS, gather
from stepkit.report.index.runs_json import RowJson, RunsJson

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
MINUTE = 60_000


def row(hours_ago: float, verdict: str = "passed", name: str = "a", **values: Any) -> RowJson:
    """Return a run of ten minutes of one notebook."""
    status = {"passed with tolerated errors": "tolerated", "incomplete": "not-run"}
    made: dict[str, Any] = {
        **index_row.unreadable(f"{hours_ago}/run.json", "1", ""),
        "verdict": verdict,
        "started": (NOW - timedelta(hours=hours_ago)).isoformat(timespec="milliseconds"),
        "duration_ms": 10 * MINUTE,
        "commit": f"c{hours_ago}",
        "notebooks": [
            {
                "name": name,
                "path": f"{name}.ipynb",
                "variant": "",
                "status": status.get(verdict, verdict),
                "duration_ms": 9 * MINUTE,
            }
        ],
        **values,
    }
    return cast("RowJson", made)


def gathered(*rows: RowJson) -> RunsJson:
    return gather(rows, TARGETS, NOW)


def test_success_counts_runs_that_passed_or_did_not_but_not_those_cancelled() -> None:
    found = gathered(
        row(1), row(2, "failed"), row(3, "passed with tolerated errors"), row(4, "cancelled"),
        row(5, "incomplete"), row(24 * 8, "failed"), row(24 * 31, "failed"),
    )  # fmt: skip

    week, month = found["figures"]
    assert (week["days"], week["runs"], week["passed"], week["success"]) == (7, 5, 2, 50.0)
    assert (month["days"], month["runs"], month["passed"], month["success"]) == (30, 6, 2, 40.0)


def test_times_are_those_of_runs_that_passed() -> None:
    times = (10 * MINUTE, 10 * MINUTE, 40 * MINUTE)
    rows = [row(hour, duration_ms=each) for hour, each in enumerate(times, start=1)]

    week = gathered(*rows, row(5, "failed", duration_ms=MINUTE))["figures"][0]

    assert (week["mean_ms"], week["median_ms"]) == (20 * MINUTE, 10 * MINUTE)


def test_utilisation_is_a_mean_by_time() -> None:
    found = gathered(
        row(1, gpu_utilisation=90.0, duration_ms=MINUTE),
        row(2, gpu_utilisation=10.0, duration_ms=3 * MINUTE),
        row(3),
    )

    assert found["figures"][0]["gpu_utilisation"] == 30.0


def test_recovery_is_from_the_end_of_the_first_failure_to_the_end_of_the_next_success() -> None:
    found = gathered(
        row(1), row(2, "cancelled"), row(3, "failed"), row(5, "failed"), row(6),
        row(4, name="b"), row(5, "failed", name="b"), row(6, "failed", name="c"),
    )  # fmt: skip

    week = found["figures"][0]
    # a: 4 hours, b: 1 hour; c still fails
    assert (week["recovery_ms"], week["recovered"]) == (2.5 * 60 * MINUTE, 2)
    assert week["failing"] == 1


def test_a_recovery_before_the_period_does_not_count() -> None:
    week, month = gathered(row(24 * 8), row(24 * 9, "failed"))["figures"]

    assert (week["recovery_ms"], week["recovered"]) == (None, 0)
    assert (month["recovery_ms"], month["recovered"]) == (24 * 60 * MINUTE, 1)


def test_a_notebook_is_failing_since_the_first_of_its_last_failures() -> None:
    rows = [row(hour) for hour in range(10, 40)]
    failures = [row(1, "failed"), row(2, "cancelled"), row(3, "failed")]

    (found,) = gathered(*rows, *failures)["notebooks"]

    assert (found["passed"], found["of"]) == (18, 20)
    assert (found["failing_since"], found["failing_path"]) == ("c3", "3/run.json")
    assert (len(found["durations_ms"]), found["median_ms"]) == (20, 9 * MINUTE)


def test_notebooks_that_fail_come_first_and_those_that_pass_are_not_failing() -> None:
    found = gathered(row(1, name="a"), row(2, "failed", name="a"), row(1, "failed", name="z"))

    assert [(n["name"], n["failing_since"]) for n in found["notebooks"]] == [
        ("z", "c1"),
        ("a", None),
    ]


def test_runs_are_newest_first_and_unreadable_ones_last_with_pointers_to_the_latest() -> None:
    torn = index_row.unreadable("0/run.json", "1", "it is empty")

    found = gathered(torn, row(5), row(1, "failed"), row(3), row(2, "failed", started=None))

    assert [each["path"] for each in found["runs"]] == [
        "1/run.json", "3/run.json", "5/run.json", "2/run.json", "0/run.json"
    ]  # fmt: skip
    assert (found["latest"], found["latest_passed"]) == ("1/run.json", "3/run.json")


def test_without_runs_all_is_unknown() -> None:
    found = gathered()

    assert (found["latest"], found["latest_passed"], found["notebooks"]) == (None, None, [])
    assert found["figures"][0]["success"] is None
    assert found["targets"]["success"] == 95.0
