import pytest
from nbformat.v4 import new_markdown_cell
from pages import display_cell, render, soup

from stepkit.html.own_colours import has_own_colours

TABLE = (
    "<style scoped>\n.dataframe tbody tr th { vertical-align: top; }\n</style>\n"
    '<table border="1" class="dataframe">'
    '<tr style="text-align: right;"><td>the background</td></tr></table>'
)


@pytest.mark.parametrize(
    "fragment",
    [
        '<p style="color:navy">x</p>',
        "<p style='BACKGROUND-COLOR : yellow'>x</p>",
        "<style>#T_a { background: #ff0 }</style>",
        '<td bgcolor="#ff0">x</td>',
        "<font color=blue>x</font>",
        '<mstyle mathcolor="blue">x</mstyle>',
        "<svg><path/></svg>",
        "<script>draw()</script>",
        "<iframe srcdoc='x'></iframe>",
    ],
)
def test_html_with_its_own_colours_gets_a_light_ground(fragment: str) -> None:
    assert has_own_colours(fragment)


@pytest.mark.parametrize(
    "fragment", [TABLE, "<b>colour, fill and background</b>", "<a href=#c>c</a>"]
)
def test_html_without_colours_takes_those_of_the_page(fragment: str) -> None:
    assert not has_own_colours(fragment)


def test_outputs_and_texts_with_their_own_colours_are_marked() -> None:
    coloured = '<p style="color: navy">x</p>'
    found = soup(
        new_markdown_cell(coloured),
        display_cell({"text/html": coloured}),
        display_cell({"text/html": TABLE}),
        new_markdown_cell("plain"),
    )

    marked = found.select(".stepkit-paper")
    assert [tag.select("p, table")[0].get_text() for tag in marked] == ["x", "x"]


def test_only_the_template_lab_has_a_dark_scheme() -> None:
    media = "@media screen and (prefers-color-scheme: dark)"
    assert media in render()
    assert media not in render(template="classic")
    assert media not in render(template="basic")
