from hypothesis import given
from hypothesis import strategies as st

from stepkit.formats import ansi_html


def test_colours_beyond_the_sixteen_become_styles() -> None:
    assert (
        ansi_html.to_html("\x1b[38;2;1;2;3mrgb") == '<span style="color: rgb(1, 2, 3)">rgb</span>'
    )


def test_with_classes_only_they_become_the_nearest_of_the_sixteen() -> None:
    text = "\x1b[38;2;250;10;3mred\x1b[0;48;5;226myellow\x1b[0;38;5;244mgrey"

    assert ansi_html.to_html(text, classes_only=True) == (
        '<span class="ansi-red-intense-fg">red</span>'
        '<span class="ansi-yellow-intense-bg">yellow</span>'
        '<span class="ansi-black-intense-fg">grey</span>'
    )


def test_a_code_of_thousands_of_digits_is_passed_over() -> None:
    assert ansi_html.to_html(f"\x1b[{'9' * 9000}mx") == "x"


@given(st.text(alphabet="\x1b[]38;5mK2<&\"'x\x07\n", max_size=60))
def test_no_text_becomes_an_element_or_a_style(text: str) -> None:
    found = ansi_html.to_html(text, classes_only=True)

    assert "style=" not in found
    rest = found.replace("</span>", "")
    assert all(part.startswith("span class=") for part in rest.split("<")[1:])
