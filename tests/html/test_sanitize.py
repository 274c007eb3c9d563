from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from pages import LEFT_OPEN, display_cell, only, render, soup


def test_elements_that_act_without_a_script_are_removed() -> None:
    hostile = (
        '<meta http-equiv="refresh" content="0;url=http://evil"><LINK rel=preconnect href=//evil>'
        '<base href="http://evil/"><table><tr><td>kept</td></tr></table>'
    )
    found = soup(display_cell({"text/html": hostile}), new_markdown_cell(hostile))

    assert found.select("main meta, main link, main base") == []
    assert len(found.select("main td")) == 2


@pytest.mark.parametrize("left_open", LEFT_OPEN)
@pytest.mark.parametrize("trusted", [False, True])
def test_an_output_cannot_hide_the_cells_after_it(left_open: str, *, trusted: bool) -> None:
    hostile = f"<b>bold</b>{left_open}SHOWN"
    found = soup(
        display_cell({"text/html": hostile}),
        new_markdown_cell(hostile),
        new_code_cell("after_it"),
        trust_scripts=trusted,
    )

    assert "after_it" in only(found, "main").get_text()
    assert len(found.select("main > .jp-Cell")) == 3
    if not (trusted and "<template>" in left_open):  # which hides what it holds, for scripts
        assert only(found, "main > .jp-Cell").get_text().count("SHOWN") == 1


@pytest.mark.parametrize(
    "usual",
    [
        (
            '<div>\n<table border="1" class="dataframe">\n  <thead>\n    <tr style="a: b;">\n      '
            "<th></th>\n    </tr>\n  </thead>\n  <tbody>\n    <tr>\n      <th>0</th>\n      <td>a"
            " &lt; b</td>\n    </tr>\n  </tbody>\n</table>\n<p>2 rows</p>\n</div>"
        ),
        '<svg viewBox="0 0 1 1"><g><path d="M0"/><title>a</title><text>x</text></g></svg>',
        '<ul><li>a<ul><li>b</li></ul></li></ul><p>x<br/>y <a href="#a">z</a></p>',
        "<details open><summary>x</summary><pre>y</pre></details>",
        "<p>x</p><script>if (a < b) { c(); }</script><textarea><b></textarea>",
    ],
)
def test_common_html_is_not_changed(usual: str) -> None:
    assert usual in render(display_cell({"text/html": usual}))


def test_a_cdata_section_in_svg_becomes_text() -> None:
    html = render(display_cell({"text/html": "<svg><text><![CDATA[a<b]]>c</text></svg>"}))

    assert "<svg><text>a&lt;bc</text></svg>" in html


def test_text_that_looks_like_markup_stays_text() -> None:
    found = soup(
        display_cell({"text/html": "<i>1 <2 and 3<4</i> <a b'c> <?php x ?><!DOCTYPE html>"})
    )

    assert "1 <2 and 3<4 <a b'c>" in only(found, ".jp-RenderedHTML").get_text()
    assert "php" not in only(found, ".jp-RenderedHTML").get_text()


def css(source: str, body: str = '<p id="T_a"></p>', **options: Any) -> tuple[str, bool]:
    found = soup(display_cell({"text/html": f"<style>{source}</style>{body}"}), **options)
    noted = any("Style rules" in tag.get_text() for tag in found.select(".stepkit-note"))
    return only(found, ".jp-RenderedHTML style").get_text(), noted


@pytest.mark.parametrize(
    "rules",
    [
        "#T_a th { color: red; }\n#T_a tr:hover, #T_a .b > i {\n  background: rgb(1, 2, 3);\n}",
        "#T_a td:after { content: 'a > b'; }",
        (
            ".dataframe tbody tr th:only-of-type {\n vertical-align: middle;\n}\n"
            ".dataframe thead tr:last-of-type th { text-align: right; }"
        ),
        (
            ".list-inline {list-style: none; margin:0; padding: 0}\n"
            ".list-inline>li {display: inline-block}\n"
            '.list-inline>li:not(:last-child)::after {content: "\\00b7"; padding: 0 .5ex}\n'
            ".dl-inline {width: auto; margin:0; padding: 0}\n"
            ".dl-inline>dt, .dl-inline>dd {float: none; width: auto; display: inline-block}\n"
            '.dl-inline>dt::after {content: ":\\0020"; padding-right: .5ex}\n'
            ".dl-inline>dt:not(:first-of-type) {padding-left: .5ex}"
        ),
        "",
    ],
)
def test_style_rules_for_the_ids_of_an_output_are_kept(rules: str) -> None:
    assert css(f"\n{rules}\n") == (f"\n{rules}" if rules else "", False)


@pytest.mark.parametrize(
    "rule",
    [
        ".jp-Cell { display: none !important }",
        "body::before { content: 'All 12 cells passed' }",
        "#T_a, body { color: red }",
        "#T_b { color: red }",
        r"#T_\61 { color: red }",
        "@import url(x); #T_a { color: red }",
        "@font-face { font-family: a }",
        "@media all { #T_a { color: red } }",
        "#T_a { color: url( }",
        "#T_a { x: '} body { display: none }",
        ".dataframe td { display: none }",
        ".list-inline {display: none}",
        ".list-inline, body {list-style: none; margin:0; padding: 0}",
        "}",
        "body {",
    ],
)
def test_style_rules_that_could_apply_elsewhere_are_left_out_with_a_note(rule: str) -> None:
    kept, noted = css(f"{rule} #T_a {{ top: 0 }}")

    assert kept.strip() in {"", "#T_a { top: 0 }"}
    assert noted
    assert css(rule, trust_scripts=True) == (rule, False)


def test_an_output_cannot_set_a_rule_for_the_ids_of_the_page() -> None:
    assert css("#cell-1 { display: none }", '<p id="cell-1"></p>') == ("", True)
