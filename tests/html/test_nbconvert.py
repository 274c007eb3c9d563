from __future__ import annotations

import copy
import re
import threading
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from bs4 import BeautifulSoup, Tag
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pages import LEFT_OPEN, display_cell, render_page

from stepkit.errors import UserCodeError
from stepkit.html import nbconvert
from stepkit.notebook import ipynb

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PNG = "iVBORw0KGgo="
GIF = "R0lGODlhAQABAAAAACw="


def render(*cells: Any, directory: Path | None = None, **options: Any) -> str:
    nb = new_notebook(metadata=options.pop("metadata", {}))
    nb.cells.extend(cells)
    return render_page(nb, name="analysis", directory=directory, **options)


def soup(*cells: Any, **options: Any) -> BeautifulSoup:
    return BeautifulSoup(render(*cells, **options), "html.parser")


def only(found: BeautifulSoup, selector: str) -> Tag:
    tag = found.select_one(selector)
    assert tag is not None, selector
    return tag


def stream_cell(*chunks: str) -> Any:
    cell = new_code_cell("go()")
    stream = {"output_type": "stream", "name": "stdout"}  # new_output would check each for 0.5 ms
    cell.outputs = [nbformat.from_dict({**stream, "text": chunk}) for chunk in chunks]
    return cell


# Formulas


@pytest.mark.parametrize(
    ("source", "display"),
    [
        ("so $x^2$ it is", "inline"),
        ("$$x^2$$", "block"),
        (r"so \\(x^2\\) it is", "inline"),
        (r"\\[x^2\\]", "block"),
        (r"\begin{equation} x^2 \end{equation}", "block"),
        (r"\begin{align} x^2 &= 1 \\ y &= 2 \end{align}", "block"),
    ],
)
def test_formulas_become_mathml(source: str, display: str) -> None:
    math = only(soup(new_markdown_cell(source)), "math")

    assert math["display"] == display
    assert math.select_one("msup") is not None


@pytest.mark.parametrize(
    "formula",
    [
        r"\left( x",
        r"\frac",
        r"\unknown{x}",
        "{" * 2000,
        "x" * 10_000,
        r"\begin{tabular}{l} a \end{tabular}",
    ],
)
def test_a_formula_that_cannot_be_converted_stays_readable(formula: str) -> None:
    found = soup(new_markdown_cell(f"before $${formula}$$ after"))

    assert only(found, "code.stepkit-latex").get_text() == f"$${formula}$$"
    assert "after" in only(found, ".jp-RenderedMarkdown").get_text()


def test_a_formula_cannot_contain_markup_or_links() -> None:
    text = r"$\text{<script>x()</script>}$ $\href{javascript:x()}{y}$ $\text{&lt;b&gt;}$"

    html = render(new_markdown_cell(text))

    assert "<script>" not in html
    assert "javascript:" not in html
    assert "<b>" not in html


def test_prices_are_not_a_formula() -> None:
    found = soup(new_markdown_cell("It costs $5 and then $6."))

    assert found.select("math") == []
    assert "It costs $5 and then $6." in found.get_text()


def test_a_formula_in_an_output_becomes_mathml() -> None:
    found = soup(display_cell({"text/latex": r"$\displaystyle \frac{a}{b}$", "text/plain": "a/b"}))

    assert only(found, ".jp-OutputArea-output math")["display"] == "block"


def test_an_image_of_a_formula_is_preferred_to_its_source() -> None:
    found = soup(display_cell({"text/latex": r"$\left( x$", "image/png": PNG}))

    assert only(found, ".jp-RenderedImage img")["src"] == f"data:image/png;base64,{PNG}"


def test_a_formula_in_a_heading_keeps_the_headings_anchor() -> None:
    heading = only(soup(new_markdown_cell("## Step $x$ done")), "h2")

    assert heading.select_one("math") is not None
    assert heading["id"] == "Step-x-done"


# What a page loads and runs


def test_nothing_is_loaded_from_elsewhere() -> None:
    state: dict[str, Any] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}

    for template in nbconvert.templates():
        html = render(new_markdown_cell("```mermaid\nA-->B\n```"), metadata={"widgets": state})
        assert (
            re.findall(r"""(?:src|href)=["']?https?://|<script|@import|url\(["']?http""", html)
            == []
        ), template


@pytest.mark.parametrize("template", ["lab", "classic", "basic"])
def test_the_policy_comes_before_any_content_of_the_notebook(template: str) -> None:
    cell = new_markdown_cell("<head><title>mine</title></head> # Title")

    html = render(cell, template=template)

    before = html[: html.index("Content-Security-Policy")]
    assert re.fullmatch(
        r'<!DOCTYPE html>\s*(<html lang="en">\s*<head>)?\s*'
        r'<meta charset="utf-8">\s*<meta http-equiv="',
        before,
    )
    assert "default-src 'none'; img-src data:" in html
    assert "script-src" not in html


def test_trusting_scripts_lets_them_run_but_not_load() -> None:
    html = render(display_cell({"text/html": "<script>draw()</script>"}), trust_scripts=True)

    policy = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    assert len(policy) == 1
    assert "script-src 'unsafe-inline'" in policy[0]
    assert "http" not in policy[0]
    assert "<script>draw()</script>" in html
    assert "It does not run" not in html


def test_elements_that_act_without_a_script_are_removed() -> None:
    hostile = (
        '<meta http-equiv="refresh" content="0;url=http://evil"><LINK rel=preconnect href=//evil>'
        '<base href="http://evil/"><table><tr><td>kept</td></tr></table>'
    )
    found = soup(display_cell({"text/html": hostile}), new_markdown_cell(hostile))

    assert found.select("main meta, main link, main base") == []
    assert len(found.select("main td")) == 2


def test_an_output_that_only_a_script_draws_gets_a_note() -> None:
    drawn = '<div style="height:525px"></div><script>draw()</script>'

    found = soup(
        display_cell({"text/html": drawn, "text/plain": "Figure({...})"}),
        display_cell({"application/javascript": "draw()", "text/plain": "<Javascript object>"}),
    )

    notes = [tag.get_text() for tag in found.select(".stepkit-note")]
    assert len(notes) == 2
    assert all("--trust-scripts" in note for note in notes)
    assert "draw()" not in str(found)


def test_the_image_beside_a_script_is_shown_without_a_note() -> None:
    found = soup(display_cell({"text/html": "<script>draw()</script>", "image/png": PNG}))

    assert str(only(found, ".jp-RenderedImage img")["src"]).endswith(PNG)
    assert found.select(".stepkit-note") == []


def test_a_widget_is_shown_by_its_text() -> None:
    view = {"model_id": "a", "version_major": 2, "version_minor": 0}
    cell = display_cell({"text/plain": "IntSlider(value=3)"})
    cell.outputs[0].data["application/vnd.jupyter.widget-view+json"] = view

    found = soup(cell)

    assert "IntSlider(value=3)" in found.get_text()
    assert "widget" in only(found, ".stepkit-note").get_text()


def test_a_format_that_a_page_cannot_show_is_named() -> None:
    found = soup(display_cell({"application/vnd.plotly.v1+json": "{}"}))

    assert "application/vnd.plotly.v1+json" in only(found, ".stepkit-note").get_text()


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


# Style rules that apply outside an output


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


# Images and their descriptions


def test_attachments_are_found_by_names_with_spaces() -> None:
    cell = new_markdown_cell(
        '![a](attachment:my%20plot.png) <img src="attachment:my plot.png" alt="b">',
        attachments={"my plot.png": {"image/png": PNG}},
    )

    images = soup(cell).select("img")

    assert [image["src"] for image in images] == [f"data:image/png;base64,{PNG}"] * 2
    assert [image["alt"] for image in images] == ["a", "b"]


def test_images_are_embedded_from_below_the_directory_only(tmp_path: Path) -> None:
    inside = tmp_path / "repository"
    (inside / "figures").mkdir(parents=True)
    (inside / "figures/a b.png").write_bytes(b"inside")
    (tmp_path / "secret.png").write_bytes(b"outside")
    (inside / "link.png").symlink_to(tmp_path / "secret.png")
    (inside / "key.txt").write_bytes(b"outside")
    cell = new_markdown_cell(
        "![](figures/a%20b.png) ![](../secret.png) ![](link.png) ![](key.txt) ![](missing.png)\n"
        f'\n<img src="figures/a b.png"> <img src="{tmp_path}/secret.png">'
    )

    sources = [str(tag["src"]) for tag in soup(cell, directory=inside).select("img")]

    assert sources == [
        "data:image/png;base64,aW5zaWRl",
        "../secret.png",
        "link.png",
        "key.txt",
        "missing.png",
        "data:image/png;base64,aW5zaWRl",
        f"{tmp_path}/secret.png",
    ]


@pytest.mark.parametrize("template", ["lab", "classic", "basic"])
@pytest.mark.parametrize(
    "form", ["image/png", "image/jpeg", "image/svg+xml", "image/gif", "image/webp"]
)
def test_every_image_is_described_by_its_author(form: str, template: str) -> None:
    content = "<svg/>" if form == "image/svg+xml" else GIF
    cells = [
        display_cell({form: content, "text/plain": "<Figure>"}, **{form: {"alt": 'one "1"'}}),
        display_cell({form: content, "text/plain": "<Figure>"}, alt="two"),
        display_cell({form: content, "text/plain": "three"}),
        display_cell({form: content, "text/plain": "<Figure size 640x480>"}),
        new_code_cell(
            "x",
            metadata={"alt": "five"},
            outputs=[new_output("display_data", data={form: content})],
        ),
    ]

    images = soup(*cells, template=template).select("img")

    wanted = ['one "1"', "two", "three", "Output 1 of cell 4: no description", "five"]
    assert [image["alt"] for image in images] == wanted
    assert all(str(image["src"]).startswith(f"data:{form};base64,") for image in images)


def test_images_in_html_are_described_too() -> None:
    html = '<img src="data:image/png;base64,AA=="><img alt="" src="x.png">'

    images = soup(display_cell({"text/html": html})).select("img")

    assert [image["alt"] for image in images] == ["Output 1 of cell 1: no description", ""]


# Text


def test_chunks_of_a_stream_become_one_output_with_the_last_state_of_a_progress_bar() -> None:
    found = soup(stream_cell("a\n", " 10%|#  |\r", "100%|###|\r\n", *["b\n"] * 20_000))

    (output,) = found.select(".jp-OutputArea-output pre")
    assert output.get_text() == "a\n100%|###|\n" + "b\n" * 20_000


def test_ansi_colours_are_kept() -> None:
    found = soup(
        stream_cell(
            "\x1b[31mred\x1b[0m\x1b[1;32mbold\x1b[22;39m<\x1b[38;2;1;2;3mrgb\x1b[0;48;5;196mback"
            "\x1b[0;7mturned\x1b[m\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\x1b[2Kend"
        )
    )

    output = only(found, ".jp-OutputArea-output pre")
    assert output.get_text() == "redbold<rgbbackturnedlinkend"
    spans = {tag.get_text(): tag.get("class") or tag["style"] for tag in output.select("span")}
    assert spans == {
        "red": ["ansi-red-fg"],
        "bold": ["ansi-green-intense-fg", "ansi-bold"],
        "rgb": "color: rgb(1, 2, 3)",
        "back": "background-color: rgb(255, 0, 0)",
        "turned": ["ansi-default-inverse-fg", "ansi-default-inverse-bg"],
    }


def test_an_error_without_a_traceback_is_shown() -> None:
    error = new_output("error", ename="TimeoutError", evalue="too long", traceback=[])

    assert "TimeoutError: too long" in soup(new_code_cell("x", outputs=[error])).get_text()


def test_very_long_markdown_is_shown_as_source() -> None:
    found = soup(new_markdown_cell(r"\begin{x}" * 20_000))

    assert only(found, ".jp-RenderedMarkdown pre").get_text().startswith(r"\begin{x}\begin{x}")


# Anchors, titles, failures


def test_cells_have_the_numbers_that_a_verdict_uses() -> None:
    found = soup(
        new_markdown_cell("# Title"),
        new_code_cell("a", id="first"),
        new_code_cell("p = 1", metadata={"tags": ["injected-parameters"]}),
        new_code_cell(" "),
        new_code_cell("left out", metadata={"tags": ["skip-execution"]}),
        new_code_cell("b", id="second"),
    )

    anchors = [tag for tag in found.select("[id]") if re.fullmatch(r"cell-\d+", str(tag["id"]))]
    assert [tag["id"] for tag in anchors] == ["cell-1", "cell-2"]
    followers = [tag.find_next("div") for tag in anchors]
    assert [tag and tag["id"] for tag in followers] == ["cell-id=first", "cell-id=second"]


@pytest.mark.parametrize(
    ("cells", "title", "has_own"),
    [
        (["# The *first* [one](x)", "# Second"], "The first one", True),
        (["```\n# no heading\n```\n## Low"], "Low", False),
        (["Under\n====="], "Under", True),
        (["only text"], "analysis", False),
    ],
)
def test_a_page_has_a_title_and_a_main_heading(
    cells: list[str], title: str, *, has_own: bool
) -> None:
    found = soup(*map(new_markdown_cell, cells))

    assert only(found, "title").get_text() == title
    first = only(found, "h1")
    assert first.get_text().removesuffix("\N{PILCROW SIGN}") == title
    assert (first.get("class") == ["stepkit-title"]) is not has_own


def test_the_page_has_the_language_of_the_notebook() -> None:
    assert only(soup(metadata={"lang": "de-CH"}), "html")["lang"] == "de"
    assert only(soup(metadata={"lang": '"><script>'}), "html")["lang"] == "en"


def failed_cells() -> list[Any]:
    error = new_output("error", ename="KeyError", evalue="'pca'", traceback=["boom"])
    return [
        new_code_cell("ok", metadata={"papermill": {"status": "completed"}}),
        new_code_cell("bad", outputs=[error], metadata={"papermill": {"status": "failed"}}),
        new_code_cell("never", metadata={"papermill": {"status": "pending"}}),
    ]


@pytest.mark.parametrize("template", ["lab", "classic", "basic"])
def test_the_page_of_a_failed_notebook_begins_with_a_link_to_the_failed_cell(template: str) -> None:
    found = soup(*failed_cells(), template=template)

    bar = only(found, "[role=alert]")
    assert bar.get_text() == "1 cell failed, 1 did not run. First error: cell 2\n".strip()
    target = only(found, "#" + str(only(found, "[role=alert] a")["href"]).removeprefix("#"))
    following = target.find_next("a")
    assert following is not None
    assert following["id"] == "cell-2"


def test_expected_and_tolerated_errors_are_not_failures() -> None:
    error = new_output("error", ename="E", evalue="", traceback=["boom"])
    tagged = new_code_cell("a", outputs=[error], metadata={"tags": ["raises-exception"]})
    tolerated = new_code_cell("b", outputs=[error], metadata={"papermill": {"status": "completed"}})

    assert soup(tagged, tolerated).select("[role=alert]") == []


def test_tolerated_errors_are_counted_linked_and_explained() -> None:
    error = new_output("error", ename="E", evalue="", traceback=["boom"])
    metadata = {"papermill": {"status": "failed"}, "stepkit": {"tolerated": "no <GPU> here"}}
    cell = new_code_cell("b", outputs=[error], metadata=metadata)

    found = soup(new_code_cell("a"), cell)

    assert only(found, ".stepkit-bar").get_text() == "Passed with 1 tolerated error: cell 2"
    target = only(found, "#" + str(only(found, ".stepkit-bar a")["href"]).removeprefix("#"))
    note = target.find_next("p")
    assert note is not None
    assert note.get_text() == "Tolerated: no <GPU> here"
    assert found.select("[role=alert]") == []


def test_a_failure_is_shown_rather_than_a_tolerated_error() -> None:
    error = new_output("error", ename="E", evalue="", traceback=["boom"])
    cell = new_code_cell("b", outputs=[error], metadata={"stepkit": {"tolerated": ""}})

    found = soup(cell, *failed_cells())

    assert "1 cell failed" in only(found, ".stepkit-bar").get_text()
    assert "Tolerated: no reason was given" in found.get_text()


@pytest.mark.parametrize("reason", [5, None, ["x"]])
def test_a_reason_that_is_not_text_tolerates_nothing(reason: Any) -> None:
    error = new_output("error", ename="E", evalue="", traceback=["boom"])
    cell = new_code_cell("b", outputs=[error], metadata={"stepkit": {"tolerated": reason}})

    assert "1 cell failed" in only(soup(cell), "[role=alert]").get_text()


# Notebooks and templates


def test_the_notebook_is_not_changed() -> None:
    nb = new_notebook(
        cells=[
            *failed_cells(),
            stream_cell("a\r", "b"),
            new_code_cell("%%bash\nls", metadata={"jupyter": {"source_hidden": True}}),
            display_cell({"image/png": PNG}, alt="x"),
        ],
        metadata={"widgets": {}},
    )
    before = copy.deepcopy(nb)

    render_page(nb)

    assert nb == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda cell: cell.outputs[0].pop("data"),
        lambda cell: cell.outputs[0].update(data=["no mapping"]),
        lambda cell: cell.outputs[0].update(data={"text/html": 5}),
        lambda cell: cell.update(metadata=None),
        lambda cell: cell.outputs.append({"output_type": "stream", "name": "stdout"}),
    ],
)
def test_the_error_for_a_broken_notebook_is_one_line(damage: Callable[[Any], Any]) -> None:
    cell = display_cell({"text/plain": "x"})
    damage(cell)

    with pytest.raises(UserCodeError, match=r"^nbconvert cannot render analysis: [^\n]+$"):
        render(cell)


def add_template(jupyter: Path, source: str) -> None:
    own = jupyter / "nbconvert/templates/own"
    own.mkdir(parents=True)
    (own / "conf.json").write_text('{"base_template": "lab", "mimetypes": {"text/html": true}}')
    (own / "index.html.j2").write_text(source)


def test_a_custom_template_is_extended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_template(
        tmp_path,
        "{% extends 'lab/index.html.j2' %}"
        "{% block data_png %}<figure>{{ super() }}</figure>{% endblock %}"
        "{% block html_head_css %}<style>.own{}</style>{% endblock %}",
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))

    found = soup(display_cell({"image/png": PNG}, alt="x"), template="own")

    assert "own" in nbconvert.templates()
    assert only(found, "figure img")["alt"] == "x"
    assert ".own{}" in str(found)
    assert found.select("script") == []


def test_the_error_for_a_broken_template_names_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_template(tmp_path, "{% extends 'lab/index.html.j2' %}{% block %}")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))

    with pytest.raises(UserCodeError, match="cannot render analysis: TemplateSyntaxError"):
        render(new_code_cell("x"), template="own")


def test_a_template_in_the_working_directory_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/index.html.j2").write_text("planted")
    (tmp_path / "stepkit_page.html.j2").write_text("planted")
    monkeypatch.chdir(tmp_path)

    assert "planted" not in render(new_code_cell("x"))


def test_pages_can_be_made_while_nbconvert_is_being_loaded() -> None:
    thread = threading.Thread(target=nbconvert.preload)
    thread.start()
    html = render(new_code_cell("x"))
    thread.join()

    assert "cell-1" in html


def test_an_older_notebook_without_ids_converts() -> None:
    nb = nbformat.from_dict(
        {
            "nbformat": 4,
            "nbformat_minor": 2,
            "metadata": {},
            "cells": [{"cell_type": "code", "source": "x", "metadata": {}, "outputs": []}],
        }
    )

    assert 'id="cell-1"' in render_page(nb)


MARKER = '"><script>x</script><!--'


def replace_each_value(value: Any) -> Any:
    """Yield the notebook's JSON once for each value, with the marker in its place."""
    if isinstance(value, dict):
        for key, one in value.items():
            for other in replace_each_value(one):
                yield {**value, key: other}
            yield {**value, MARKER: one}
    elif isinstance(value, list):
        for place, one in enumerate(value):
            for other in replace_each_value(one):
                yield [*value[:place], other, *value[place + 1 :]]
    else:
        yield MARKER
        yield [MARKER]


@pytest.mark.parametrize("template", ["lab", "classic"])
def test_no_field_of_a_notebook_reaches_the_page_unescaped(template: str) -> None:
    error = new_output("error", ename="E", evalue="v", traceback=["boom"])
    result = new_output(
        "execute_result",
        data={"image/png": PNG, "text/plain": "x"},
        metadata={
            "image/png": {"width": 5, "alt": "a"},
            "height": 6,
            "filenames": {"image/png": "a"},
        },
        execution_count=1,
    )
    stream = new_output("stream", name="stdout", text="t")
    about = {
        "tags": ["a"],
        "stepkit": {"tolerated": "why"},
        "papermill": {"status": "x"},
        "alt": "b",
    }
    cell = new_code_cell("%%bash\nx", metadata=about, outputs=[error, result, stream])
    cell.execution_count = 3
    unknown = {**new_code_cell("y"), "cell_type": "heading", "type": "z"}
    nb = new_notebook(metadata={"title": "t", "language_info": {"name": "python"}, "lang": "en"})
    nb.cells = [cell, nbformat.from_dict(unknown)]
    tried = 0
    for damaged in replace_each_value(nb):
        try:
            html = render_page(nbformat.from_dict(damaged), template=template)
        except (UserCodeError, AttributeError, TypeError, KeyError):
            continue  # other tests check these errors
        tried += 1
        assert "<script" not in html
        assert "<!--" not in re.sub(r"<!-- \w[^<>]* -->", "", html)
    assert tried > 30


def test_a_large_file_keeps_every_character(tmp_path: Path) -> None:
    text = 'caf\u00e9 \u4e2d\u6587 \U0001f600 \\ " \ud83d ' + "x" * 2**20
    nb = new_notebook(cells=[new_markdown_cell(text)])
    path = tmp_path / "large.ipynb"
    path.write_bytes(nbformat.writes(nb).encode("utf-8", "surrogatepass"))

    assert ipynb.read(path).cells[0].source == text


@pytest.mark.parametrize(
    "start",
    [
        "<script",
        "<script>",
        "<img ",
        "<!--",
        "<div>",
        "<p><b>",
        "<style>a{",
        "<table><tr><td>",
        "</p>",
        '<a b=\'" c="\' d="',
        "<svg><![CDATA[",
        "<!",
        "<li>",
        "<style>#a{'",
        "<a href='",
        "\x1b[1;",
        "\\[",
        "# #",
        "![a](",
    ],
)
@pytest.mark.slow
def test_the_time_grows_linearly_with_the_text(start: str) -> None:
    """Each of these would take minutes if any pass over the text were quadratic."""
    text = start * 100_000

    html = render(
        display_cell({"text/html": text}),
        display_cell({"text/latex": text}),
        display_cell({"text/markdown": text}),
        display_cell({"text/plain": text}),
        new_markdown_cell(text),
        new_code_cell("after_it", outputs=[new_output("stream", name="stdout", text=text)]),
    )

    assert "after_it" in html
