import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepkit.report.page.time_axis import TimeAxis


@pytest.mark.parametrize(
    ("end", "labels"),
    [
        (450, ["0 s", "0.1 s", "0.2 s", "0.3 s", "0.4 s"]),
        (4_200, ["0 s", "1 s", "2 s", "3 s", "4 s"]),
        (151_000, ["0 s", "30 s", "1m00s", "1m30s", "2m00s", "2m30s"]),
        (7_200_000, ["0 s", "30m00s", "1h00m", "1h30m", "2h00m"]),
    ],
)
def test_ticks_are_at_round_times(end: int, labels: list[str]) -> None:
    assert [tick.label for tick in TimeAxis(start=0, end=end).ticks()] == labels


def test_an_axis_that_begins_before_zero_has_its_first_tick_at_zero() -> None:
    axis = TimeAxis(start=-1000, end=3000)

    first = axis.ticks()[0]
    assert (first.at, first.label) == (25.0, "0 s")


@given(st.integers(0, 10**12), st.integers(2, 12))
def test_no_axis_has_too_many_ticks(end: int, most: int) -> None:
    ticks = TimeAxis(start=0, end=end).ticks(most)

    assert 1 <= len(ticks) <= most
    assert all(0 <= tick.at <= 100 for tick in ticks)
