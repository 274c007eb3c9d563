import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pages import PNG, display_cell, only, render, render_page, soup

from stepkit.errors import UserCodeError
from stepkit.html import nbconvert
from stepkit.notebook import ipynb


def test_nothing_is_loaded_from_elsewhere() -> None:
    state: dict[str, Any] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}

    for template in nbconvert.templates():
        html = render(new_markdown_cell("```mermaid\nA-->B\n```"), metadata={"widgets": state})
        loads = r"""(?:src|href)=["']?https?://|<script|@import|url\(["']?http"""
        assert re.findall(loads, html) == [], template


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


@pytest.mark.parametrize("lexer", ["ipython2", "ipython3"])
def test_code_has_the_colours_of_its_language(lexer: str) -> None:
    source = "%matplotlib inline\nprint 'a'  # comment"
    found = soup(
        new_code_cell(source),
        metadata={"language_info": {"name": "python", "pygments_lexer": lexer}},
    )

    assert only(found, ".highlight .k").get_text() == "matplotlib"
    assert only(found, ".highlight .c1").get_text() == "# comment"


def test_very_long_markdown_is_shown_as_source() -> None:
    found = soup(new_markdown_cell(r"\begin{x}" * 20_000))

    assert only(found, ".jp-RenderedMarkdown pre").get_text().startswith(r"\begin{x}\begin{x}")


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

    with pytest.raises(
        UserCodeError, match=r"^nbconvert cannot render analysis(?: in cell 1)?: [^\n]+$"
    ):
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


def test_the_cell_on_which_a_template_fails_is_named_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    add_template(
        tmp_path,
        "{% extends 'lab/index.html.j2' %}"
        "{% block input %}{{ 1 // (cell.source | length - 3) }}{{ cell.a.b.c }}{% endblock %}",
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    cells = [
        new_code_cell("x = 1", metadata={"tags": ["injected-parameters"]}),
        new_code_cell("y = 2"),
    ]

    with pytest.raises(UserCodeError, match="in a cell without a number: Undefined") as found:
        render(*cells, template="own")
    with pytest.raises(
        UserCodeError, match="render analysis in cell 1: UndefinedError: "
    ) as second:
        render(*cells[1:], template="own")

    assert found.value.evidence
    assert second.value.evidence
    assert (found.value.evidence.source, second.value.evidence.source) == ("x = 1", "y = 2")
    assert second.value.evidence.ename == "UndefinedError"
    assert second.value.evidence.evalue.endswith("has no attribute 'a'")
    assert "index.html.j2" in second.value.evidence.traceback
    assert len(second.value.evidence.traceback.splitlines()) <= 40
    assert second.value.evidence.traceback.splitlines()[-1] in caplog.messages


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


@pytest.mark.slow
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
