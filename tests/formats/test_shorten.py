from stepkit.formats.shorten import shorten


def test_a_text_that_fits_is_kept() -> None:
    assert shorten("12345", 5) == "12345"


def test_a_longer_text_is_cut_to_the_length_with_an_ellipsis() -> None:
    assert shorten("123456", 5) == "12..."
    assert shorten("123456", 5, ellipsis="…") == "1234…"
