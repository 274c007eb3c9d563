import pytest

from stepkit.formats import durations


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90),
        ("1.5", 1.5),
        ("500ms", 0.5),
        ("1h30m", 5400),
        ("14d", 1209600),
        ("1d12h", 129600),
    ],
)
def test_reads_durations_as_tekton_and_people_write_them(text: str, expected: float) -> None:
    assert durations.parse(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "14 d", "2w", "-1d", "1d-2h", "d"])
def test_refuses_a_text_that_is_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration: write 90, .* or 14d for days"):
        durations.parse(text)


@pytest.mark.parametrize("text", ["99999999999999999999", "36500d1s", "1" + "0" * 400])
def test_refuses_a_duration_that_no_timer_takes(text: str) -> None:
    with pytest.raises(ValueError, match="is longer than a hundred years"):
        durations.parse(text)


@pytest.mark.parametrize(
    ("length", "text"),
    [(86400, "1 day"), (1209600, "14 days"), (600, "600 seconds"), (0, "0 seconds")],
)
def test_spells_whole_days_as_days_and_the_rest_as_seconds(length: float, text: str) -> None:
    assert durations.spell(length) == text


@pytest.mark.parametrize(
    ("length", "text"),
    [(0, "0.0 s"), (1.24, "1.2 s"), (60, "1m00s"), (185.4, "3m05s"), (3720, "1h02m")],
)
def test_spells_elapsed_time(length: float, text: str) -> None:
    assert durations.elapsed(length) == text


@pytest.mark.parametrize(("length", "text"), [(0.4, "0s"), (44.6, "45s"), (123, "2m03s")])
def test_spells_elapsed_time_in_whole_seconds(length: float, text: str) -> None:
    assert durations.elapsed(length, tenths=False) == text
