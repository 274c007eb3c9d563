"""Order and fate of notebooks; here a function executes them in place of a process."""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from stepkit.batch.planned_notebook import NotebookRun, Planned
from stepkit.batch.schedule import Schedule


def planned(name: str, *needs: str, exempt: str = "", until: str = "") -> Planned:
    path = Path(f"{name}.ipynb")
    return Planned(name=name, path=path, needs=needs, exempt=exempt, until=until)


def ended(one: Planned, status: Any = "passed") -> NotebookRun:
    return NotebookRun(name=one.name, path=one.path, status=status, exit_code=0)


def run(
    plan: list[Planned], execute: Callable[[Planned], NotebookRun], **more: Any
) -> Sequence[NotebookRun]:
    usual = {"jobs": 1, "fail_fast": False, "stop": threading.Event(), **more}
    schedule = Schedule(plan, execute, **usual)
    schedule.run()
    return schedule.in_order()


def fates(plan: list[Planned], bad: str = "", **more: Any) -> tuple[list[str], dict[str, str]]:
    started: list[str] = []

    def execute(one: Planned) -> NotebookRun:
        started.append(one.name)
        return ended(one, "failed" if one.name == bad else "passed")

    runs = run(plan, execute, **more)
    assert [run.name for run in runs] == [one.name for one in plan]
    return started, {run.name: f"{run.status} {run.message}".strip() for run in runs}


def test_notebooks_run_in_the_given_order() -> None:
    started, ends = fates([planned("c"), planned("a"), planned("b")])

    assert started == ["c", "a", "b"]
    assert set(ends.values()) == {"passed"}


def test_who_failed_is_not_looked_for_again_and_again() -> None:
    class Ended(dict[str, NotebookRun]):
        searches = 0

        def values(self) -> Any:
            self.searches += 1
            return super().values()

    schedule = Schedule(
        [planned(str(number)) for number in range(50)],
        lambda one: ended(one, "failed" if one.name == "20" else "passed"),
        jobs=1,
        fail_fast=True,
        stop=threading.Event(),
    )
    schedule.ended = found = Ended()

    schedule.run()

    assert [run.status for run in schedule.in_order()].count("not-run") == 29
    assert found.searches == 0


def test_needs_come_first_wherever_they_stand() -> None:
    started, _ = fates([planned("a", "b"), planned("b", "c"), planned("d"), planned("c")])

    assert started == ["d", "c", "b", "a"]


def test_notebooks_that_need_a_failed_one_are_not_run_and_the_others_go_on() -> None:
    plan = [planned("a"), planned("b", "a"), planned("c", "b"), planned("d")]

    started, ends = fates(plan, bad="a")

    assert started == ["a", "d"]
    assert ends == {
        "a": "failed",
        "b": "not-run needs a, which failed",
        "c": "not-run needs b, which did not run",
        "d": "passed",
    }


def test_with_fail_fast_nothing_starts_after_a_failure() -> None:
    started, ends = fates([planned("a"), planned("b"), planned("c")], bad="b", fail_fast=True)

    assert started == ["a", "b"]
    assert ends["c"] == "not-run b failed (--fail-fast)"


def test_skipped_notebooks_have_a_reason_and_a_date(caplog: pytest.LogCaptureFixture) -> None:
    plan = [planned("a", exempt="UCX", until="2027-01-01"), planned("b", "a"), planned("c", "b")]

    with caplog.at_level(logging.INFO):
        started, ends = fates(plan, fail_fast=True)

    assert started == []
    assert ends == {
        "a": "skipped UCX",
        "b": "skipped needs a, which is skipped: UCX",
        "c": "skipped needs b, which is skipped: needs a, which is skipped: UCX",
    }
    assert "notebook 2/3 b: skipped: needs a, which is skipped: UCX (until 2027-01-01)" in (
        caplog.text
    )


def test_independent_notebooks_run_at_once_and_dependent_ones_wait() -> None:
    both = threading.Barrier(2, timeout=20)
    done: list[str] = []

    def execute(one: Planned) -> NotebookRun:
        if one.name in "ab":
            both.wait()  # neither could end alone
        else:
            assert sorted(done) == ["a", "b"]
        done.append(one.name)
        return ended(one)

    runs = run([planned("a"), planned("b"), planned("c", "a", "b")], execute, jobs=2)

    assert [one.status for one in runs] == ["passed"] * 3


def test_at_most_jobs_notebooks_run_at_once() -> None:
    most, now, lock = 0, 0, threading.Lock()

    def execute(one: Planned) -> NotebookRun:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        threading.Event().wait(0.02)
        with lock:
            now -= 1
        return ended(one)

    run([planned(f"n{number}") for number in range(9)], execute, jobs=3)

    assert 1 <= most <= 3


def test_nothing_starts_once_the_run_is_stopped() -> None:
    stop = threading.Event()
    stop.set()

    started, ends = fates([planned("a"), planned("b", "a"), planned("c", exempt="x")], stop=stop)

    assert started == []
    assert ends["a"] == "not-run the run was stopped"
    assert ends["b"] == "not-run needs a, which did not run"
    assert ends["c"] == "skipped x"


def test_a_bug_in_one_notebooks_thread_stops_the_others_and_is_raised() -> None:
    stop = threading.Event()
    asked: list[bool] = []

    def execute(one: Planned) -> NotebookRun:
        if one.name == "bug":
            raise RuntimeError("boom")
        asked.append(stop.wait(20))
        return ended(one, "cancelled")

    with pytest.raises(RuntimeError, match="boom"):
        run([planned("slow"), planned("bug")], execute, jobs=2, stop=stop)
    assert asked == [True]
