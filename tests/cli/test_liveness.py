"""A run is taken for dead when its process is gone, or silent on another machine."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from progress_states import state

from stepkit.cli.liveness import Liveness
from stepkit.system import process_identity

OTHER: Any = {**process_identity.own(), "boot": "another", "host": "pod-7", "pid": 1}
DEAD: Any = {**process_identity.own(), "ticks": 0}


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("stepkit.cli.liveness.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_process_of_this_machine_is_asked_itself(clock: Clock) -> None:
    run = Liveness()
    assert (run.is_gone(), run.note()) == (False, "")
    run.saw(state(written=ago(3600)))
    clock.now += 3600

    assert run.is_gone() is False
    assert run.note().endswith("wrote last 1h00m ago")
    run.saw(state(process=DEAD, written=ago(180)))
    assert run.is_gone() is True
    assert run.note() == f"its process {DEAD['pid']} is gone, and wrote last 3m00s ago"


def test_an_old_state_of_another_machine_is_looked_at_for_some_seconds(clock: Clock) -> None:
    run = Liveness()
    run.saw(state(process=OTHER, written=ago(180)))

    assert run.is_gone() is False
    assert run.note() == "process 1 on pod-7 wrote last 3m00s ago"
    clock.now += 6
    assert run.is_gone() is True


def test_a_machine_whose_clock_is_wrong_is_alive_while_it_writes(clock: Clock) -> None:
    run = Liveness()
    for seconds in range(20):
        run.saw(state(process=OTHER, written=ago(7200 - seconds)))
        clock.now += 1
        assert run.is_gone() is False
    clock.now += 6

    assert run.is_gone() is True


def test_one_whose_clock_is_ahead_is_dead_after_a_minute_of_silence(clock: Clock) -> None:
    run = Liveness()
    run.saw(state(process=OTHER, written=ago(-7200)))
    clock.now += 59
    assert run.is_gone() is False

    clock.now += 2

    assert run.is_gone() is True
    assert run.note() == "process 1 on pod-7 wrote last 1m01s ago"


def test_a_time_that_is_not_one_counts_as_new() -> None:
    run = Liveness()
    run.saw(state(process=OTHER, written="yesterday"))

    assert (run.is_gone(), run.note()) == (False, "")
