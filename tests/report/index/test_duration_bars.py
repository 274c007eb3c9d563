"""The bars beside a duration."""

from stepkit.report.index.duration_bars import bars


def test_the_last_run_is_at_the_right_and_the_longest_fills_the_height() -> None:
    found = bars([1_000, 2_000, 4_000])

    assert found
    assert (found.others, found.last) == ("M70 16V12M74 16V8", "M78 16V1")
    assert found.median == "M68 8H80"


def test_one_run_alone_has_no_bars_and_no_time_is_a_short_bar() -> None:
    assert bars([1_000]) is None
    found = bars([0, 0])
    assert found
    assert found.last == "M78 16V15"
