from stepkit.formats.last_lines import last_lines


def test_the_last_lines_are_kept_and_the_others_counted() -> None:
    assert last_lines("a\nb\nc\n\n", 2) == ("b\nc", 1)
    assert last_lines("a", 2) == ("a", 0)
    assert last_lines("", 2) == ("", 0)


def test_a_very_long_line_is_cut() -> None:
    text, left_out = last_lines("x" * 10**6, 5)
    assert (len(text), left_out) == (2000, 0)
