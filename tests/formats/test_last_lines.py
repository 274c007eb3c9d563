from stepkit.formats.last_lines import last_lines, without_escapes


def test_the_last_lines_are_kept_and_the_others_counted() -> None:
    assert last_lines("a\nb\r\nc\n\n", 2) == ("b\nc", 1)
    assert last_lines("a", 2) == ("a", 0)
    assert last_lines("", 2) == ("", 0)


def test_a_very_long_line_is_cut() -> None:
    text, left_out = last_lines("x" * 10**6, 5)
    assert (len(text), left_out) == (2000, 0)


def test_what_only_a_terminal_understands_is_removed() -> None:
    link = "\x1b]8;;http://a\x07link\x1b]8;;\x1b\\"
    assert without_escapes(f"\x1b[1;31mred\x1b[0m \x1b[2K{link} #x1B[0mx") == "red link x"
