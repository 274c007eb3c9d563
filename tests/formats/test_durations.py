from __future__ import annotations

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
def test_refuses_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration: write 90, .* or 14d for days"):
        durations.parse(text)


@pytest.mark.parametrize(
    ("length", "text"),
    [(86400, "1 day"), (1209600, "14 days"), (600, "600 seconds"), (0, "0 seconds")],
)
def test_spells_whole_days_and_else_seconds(length: float, text: str) -> None:
    assert durations.spell(length) == text
