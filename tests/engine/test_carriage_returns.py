"""Text as a terminal would leave it, however it is cut, at a linear cost."""

from itertools import pairwise
from typing import SupportsIndex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepkit.engine.carriage_returns import Lines, Text

printed = st.text(st.sampled_from("ab\r\n\u2028\x85é"), max_size=30)
cuts = st.lists(st.integers(0, 30), max_size=6)


def reference(text: str) -> str:
    """Resolve carriage returns the slow way: of each line, what follows the last one stays."""
    lines = text.split("\n")
    return "\n".join(shown(line) + "\r" * (len(line) - len(line.rstrip("\r"))) for line in lines)


def shown(line: str) -> str:
    return line.rstrip("\r").rpartition("\r")[2]


def pieces(text: str, at: list[int]) -> list[str]:
    places = [0, *sorted(min(place, len(text)) for place in at), len(text)]
    return [text[start:end] for start, end in pairwise(places)]


@given(printed, cuts)
def test_text_is_the_same_however_it_is_cut(text: str, at: list[int]) -> None:
    grows = Text()
    for piece in pieces(text, at):
        grows.feed(piece)

    assert grows.value() == reference(text)


@given(printed, cuts)
def test_reading_the_text_in_between_changes_nothing(text: str, at: list[int]) -> None:
    grows = Text()
    seen = ""
    for piece in pieces(text, at):
        grows.feed(piece)
        seen += piece
        assert grows.value() == grows.value() == reference(seen)


@given(printed, cuts)
def test_the_size_is_that_of_the_text(text: str, at: list[int]) -> None:
    grows = Text()
    for piece in pieces(text, at):
        grows.feed(piece)

    assert grows.size == len(grows.value())


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("one\r\ntwo\r\n", "one\r\ntwo\r\n"),
        ("1 of 2\r2 of 2\r\ndone\r\n", "2 of 2\r\ndone\r\n"),
        ("1 of 2\r2 of 2\ndone\n", "2 of 2\ndone\n"),
        ("\r1 of 2\r2 of 2", "2 of 2"),
        ("1 of 2\r", "1 of 2\r"),
        ("longer\rnew", "new"),
        ("\r\n\r\n", "\r\n\r\n"),
        ("a\r\r\rb", "b"),
        ("", ""),
    ],
)
def test_a_line_that_was_written_over_keeps_its_last_state(text: str, left: str) -> None:
    grows = Text()
    for character in text:
        grows.feed(character)

    assert grows.value() == left


def test_text_that_a_progress_bar_wrote_over_is_not_kept_in_memory() -> None:
    grows = Text()
    for number in range(20_000):
        grows.feed(f"\r{number:8} of 20000 {'#' * 80}")

    assert len(grows._line) == 1
    assert grows.size < 200


class Counted(str):
    """A text that counts how many characters are read from it and from its parts."""

    read = 0
    __slots__ = ()

    def rpartition(self, sep: str, /) -> tuple[str, str, str]:
        Counted.read += len(self)
        return super().rpartition(sep)

    def split(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        Counted.read += len(self)
        return super().split(sep, maxsplit)


@pytest.mark.parametrize("ending", ["", "\n", "\r", "x" * 50])
def test_each_character_is_processed_once(ending: str) -> None:
    Counted.read = 0
    grows = Text()
    for _ in range(5_000):
        grows.feed(Counted("chunk" + ending))
    grows.value()

    fed = 5_000 * len("chunk" + ending)
    assert Counted.read <= 2 * fed
    assert (
        sum(map(len, grows._done)) + sum(map(len, grows._line)) + ending.count("\r") == grows.size
    )


@given(printed, cuts)
def test_lines_are_the_same_however_the_text_is_cut(text: str, at: list[int]) -> None:
    lines = Lines()
    said = [line for piece in pieces(text, at) for line in lines.feed(piece)] + lines.rest()

    assert said == [line for line in map(shown, text.split("\n")) if line.strip()]


def test_a_line_is_returned_when_it_is_complete_and_the_rest_at_the_end() -> None:
    lines = Lines()

    assert lines.feed("one\ntw") == ["one"]
    assert lines.feed("o") == []
    assert lines.feed("\nthr") == ["two"]
    assert lines.rest() == ["thr"]
    assert lines.rest() == []
