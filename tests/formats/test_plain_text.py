"""Text of strangers loses what a terminal would obey."""

import pytest

from stepkit.formats.plain_text import coloured, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m\x1b[38:5:4m", "red"),
        ("a\x1b[2Kb\x1b[?25l\x1b7\x1b(B\x1bMc", "abc"),
        ("\x1b]8;;https://x.org\x07link\x1b]8;;\x1b\\", "link"),
        ("10 %\r20 %\nend\r\n", "20 %\nend\n"),
        ("a\tb", "a   b"),
        ("\x07\x00\x7f\x9b \u2028\u202e", r"\x07\x00\x7f\x9b \u2028\u202e"),
        ("\x1b[\x1b\x1b[31m", r"\x1b[\x1b"),
    ],
)
def test_plain_text_has_no_controls_but_newlines(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_coloured_text_keeps_colours_alone() -> None:
    text = "\x1b[31mred\x1b[0m\x1b[2J\x07\ta\r\x1b[1mb"

    assert coloured(text) == "\x1b[1mb"
    assert coloured("\x1b[31mred\x1b[0m\x1b[2J\x07") == "\x1b[31mred\x1b[0m\\x07"
