"""The last lines that cells printed are kept, whatever they printed before."""

import pytest

from stepkit import redaction
from stepkit.engine.last_printed import LastPrinted


def printed(*pieces: str, stream: str = "stdout") -> list[str]:
    last = LastPrinted()
    for piece in pieces:
        last.add(stream, piece)
    return last.lines()


def test_the_last_twenty_lines_are_kept() -> None:
    lines = printed(*(f"line {number}\n" for number in range(1000)))

    assert lines == [f"line {number}" for number in range(980, 1000)]


def test_a_line_that_is_not_complete_is_shown_and_one_in_pieces_is_joined() -> None:
    assert printed("epoch ", "1\nepo", "ch 2") == ["epoch 1", "epoch 2"]


def test_of_a_line_that_is_printed_over_the_last_state_is_shown() -> None:
    assert printed("10 %\r", "50 %\r", "90 %") == ["90 %"]


def test_another_stream_begins_another_line() -> None:
    last = LastPrinted()
    last.add("stderr", "50 %")
    last.add("stdout", "found 3\n")
    last.add("stderr", "60 %")

    assert last.lines() == ["50 %", "found 3", "60 %"]


def test_control_characters_are_escaped_and_long_lines_cut() -> None:
    lines = printed("\x1b[31mred\x1b[0m \x1b]0;title\x07\x9b2J\n", "y" * 1000)

    assert lines[0] == "red \\x9b2J"
    assert (len(lines[1]), lines[1][-3:]) == (500, "...")


@pytest.mark.parametrize("size", [10, 1000, 20_000, 1_000_000])
def test_a_secret_is_masked_wherever_the_text_is_cut(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "s3cret-of-this-test-0123456789"
    monkeypatch.setattr(redaction, "_registered", {secret})

    for more in range(40):
        shown = "\n".join(printed(f"{'x' * 50} {secret}{'y' * (size + more)}", f"\n{secret}\n"))
        parts = [secret[begin : begin + 6] for begin in range(len(secret) - 6)]
        assert not [part for part in parts if part in shown]
        assert shown.endswith("***")


def test_what_is_kept_is_bounded() -> None:
    last = LastPrinted()
    for _ in range(2000):
        last.add("stdout", "z" * 999 + "\n")

    assert sum(map(len, last._pieces)) < 1 << 15
    assert len(last.lines()) == 16
