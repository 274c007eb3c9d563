"""Text of strangers in Markdown is shown as it is: no HTML, no link, no mention comes of it."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rendered_markdown import Rendered

from stepkit.report.summary import markdown_text
from stepkit.report.summary.markdown_text import block, code, count, escape, folded, table, title

NASTY = "|\\`<>*__[]()!#~&@:/-+=.\"' \tab1\n"
# What Markdown makes of text, and what it leaves as it is.
hostile = st.text(st.sampled_from(NASTY), min_size=1, max_size=30)


def shown(text: str) -> str:
    """Return text without white space, backticks and what breaks a mention."""
    return "".join(text.replace("\u200b", "").replace("`", "").split())


def inert(page: Rendered) -> bool:
    mention = re.search(r"(?<!\w)@\w", page.prose)
    return not page.foreign and not page.links and not mention


@given(hostile)
@example("`a` | `b|c` `d\\|e`")
@example("`<b>`&lt;@all")
@example("@_")
@example("@``1")
@example("1` `1")
def test_a_text_in_a_line_is_shown_as_it_is(text: str) -> None:
    page = Rendered(f"x {escape(text)} y")

    assert inert(page)
    assert shown(page.text) == shown(f"x {text} y")


@given(hostile)
@example("a\\|b")
@example("``")
@example("`a")
def test_code_and_titles_are_shown_as_they_are(text: str) -> None:
    for made in (code(text), title(text)):
        page = Rendered(f"x {made} y")

        assert inert(page)
        assert shown(page.text) == shown(f"x {text} y")


@given(hostile, hostile)
@example("a\\|b", "`a\\|b`")
@example("a`|`b", "|")
def test_no_text_breaks_a_table(first: str, second: str) -> None:
    rows = [(escape(first), code(second), title(first)), ("a", "b", "c")]

    page = Rendered("\n".join(table(("x", "y", "z"), rows)))

    assert inert(page)
    assert page.cells == [3, 3, 3]
    cells = "".join(shown(text) for text in (first, second, first))
    assert shown(page.text) == f"xyz{cells}abc"


def test_a_bar_in_code_is_escaped_and_one_after_a_backslash_is_not_code() -> None:
    _, _, row = table(("x", "y"), [(code("a | b"), code(r"a\|b"))])

    assert row == r"| `a \| b` | a\\\|b |"


@given(st.text(st.sampled_from(NASTY), max_size=60))
@example("````\n</details>\n```\n<b>")
def test_no_text_leaves_a_block_of_code_or_what_is_folded(text: str) -> None:
    page = Rendered("\n".join([*folded(f"of {text}", block(text)), "", "after"]))

    assert page.foreign == []
    assert not page.links
    assert shown(page.text) == shown(f"of {text} {text} after")
    assert page.prose.rstrip().endswith("after")


def test_a_name_is_code_only_where_markdown_would_change_it() -> None:
    assert title("Notebook run") == "Notebook run"
    assert title("notebooks/scrna_preprocessing.ipynb") == "`notebooks/scrna_preprocessing.ipynb`"
    assert title("a`b") == "``a`b``"
    assert title("`a`") == "`` `a` ``"


def test_underscores_inside_of_a_word_are_readable_as_raw_text() -> None:
    assert escape("test_page[a_b] __init__ _x_") == (r"test_page\[a_b\] \_\_init\_\_ \_x\_")
    assert Rendered(escape("__a b__ c_d_ _e_f")).text.strip() == "__a b__ c_d_ _e_f"


def test_control_characters_and_lone_surrogates_are_replaced() -> None:
    assert escape("a\x1b[31m\ud800b\x00") == "a\ufffd\\[31m\ufffdb\ufffd"
    assert "\n".join(block("a\x1b[31mred\x1b[0m\ud800\x00")) == "```text\nared?\\x00\n```"


def test_a_long_block_keeps_its_end() -> None:
    lines = list(block("x\n" * 50_000 + "end"))

    assert lines[1] == "..."
    assert lines[-2:] == ["end", "```"]
    assert sum(map(len, lines)) < 40_000
    assert list(block("x" * 1000))[1] == "x" * 297 + "..."


@pytest.mark.parametrize(("number", "spelled"), [(0, "0 cells"), (1, "1 cell"), (2, "2 cells")])
def test_a_number_has_its_noun(number: int, spelled: str) -> None:
    assert count(number, "cell") == spelled


def test_parts_without_lines_leave_no_gap() -> None:
    assert markdown_text.paragraphs(["a"], [], ["b", "c"]) == ["a", "", "b", "c"]
    assert markdown_text.paragraphs([], []) == []
