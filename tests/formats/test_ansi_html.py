import re

from hypothesis import given
from hypothesis import strategies as st

from stepkit.formats import ansi_html


def test_colours_beyond_the_sixteen_become_styles() -> None:
    text = "\x1b[38;2;250;200;3mrgb\x1b[0;48;5;196mback"

    assert ansi_html.to_html(text) == (
        '<span style="color: rgb(250, 200, 3)">rgb</span>'
        '<span style="background-color: rgb(255, 0, 0)">back</span>'
    )


def test_a_dark_colour_has_a_lighter_one_for_a_dark_ground() -> None:
    assert ansi_html.to_html("\x1b[38;5;28mdef") == (
        '<span style="color: rgb(0, 135, 0); --on-dark: rgb(85, 177, 85)">def</span>'
    )
    assert "--on-dark" not in ansi_html.to_html("\x1b[38;5;28;48;5;226mon yellow")


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_any_colour_can_be_read_on_a_dark_ground(colour: tuple[int, int, int]) -> None:
    codes = ";".join(map(str, colour))
    shown = ansi_html.to_html(f"\x1b[38;2;{codes}mx")

    last = [tuple(map(int, one)) for one in re.findall(r"rgb\((\d+), (\d+), (\d+)\)", shown)][-1]
    assert max(last) <= 255
    linear = [
        (one / 255 / 12.92 if one < 11 else ((one / 255 + 0.055) / 1.055) ** 2.4) for one in last
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    assert (luminance + 0.05) / (0.0127 + 0.05) > 4.5  # the ground of an error on a dark page


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
