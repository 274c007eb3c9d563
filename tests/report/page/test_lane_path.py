import re

from hypothesis import given
from hypothesis import strategies as st

from stepkit.report.page import lane_path


def draw(column: list[float | None], width: int = 10, top: float = 100) -> str:
    seconds = [float(n) for n in range(len(column))]
    rows = lane_path.pixel_rows(seconds, 0, len(column), width)
    return lane_path.path(column, rows, top, 50)


def points(path: str) -> list[tuple[int, int]]:
    """Return the points that a path goes through."""
    x = y = 0
    found = []
    for letter, numbers in re.findall(r"([MVlh])([-\d ]+)", path):
        values = [int(n) for n in numbers.split()]
        if letter == "M":
            x, y = values
        elif letter == "V":
            y = values[0]
        elif letter == "h":
            x += values[0]
        else:
            x, y = x + values[0], y + values[1]
        found.append((x, y))
    return found


def test_each_pixel_has_its_lowest_and_its_highest_sample() -> None:
    column: list[float | None] = [50.0] * 100
    column[37], column[38] = 100, 0

    found = points(draw(column))

    assert (3, 0) in found
    assert (3, 50) in found
    assert {y for x, y in found[1:-1] if x != 3} == {25}


def test_a_flat_line_is_short() -> None:
    assert draw([50.0] * 10_000, width=600) == "M0 50V25h599V50"


def test_a_gap_leaves_the_baseline() -> None:
    column: list[float | None] = [50.0] * 30 + [None] * 40 + [50.0] * 30

    assert draw(column) == "M0 50V25h2V50M7 50V25h2V50"


def test_fewer_samples_than_pixels_are_joined() -> None:
    assert points(draw([0.0, 100.0], width=10)) == [(0, 50), (0, 50), (5, 0), (5, 50)]


def test_nothing_known_is_nothing_drawn() -> None:
    assert draw([None] * 5) == ""
    assert draw([]) == ""


@given(
    st.lists(st.none() | st.floats(-1e9, 1e9), max_size=80),
    st.integers(1, 40),
    st.sampled_from([0.0, 1.0, 100.0]),
)
def test_no_path_leaves_its_lane(column: list[float | None], width: int, top: float) -> None:
    for x, y in points(draw(column, width, top)):
        assert 0 <= x < width
        assert 0 <= y <= 50


def test_the_sample_at_the_end_of_the_axis_is_in_the_last_pixel() -> None:
    assert lane_path.pixel_rows([0, 5, 10], 0, 10, 2) == [0, 1, 3]
