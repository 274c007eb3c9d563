"""Outputs, images and tables are counted in notebooks and in pages, as long as they end."""

import tracemalloc
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pages import PNG, render_page

from stepkit.artifacts import content_types, count_results
from stepkit.artifacts.count_results import UncountableError

LOGO = f'<img alt="a logo" src="data:image/png;base64,{PNG}">'
TABLE = "<table><tr><td>1</td></tr></table>"


def displayed(**data: str) -> Any:
    media_types = {"png": "image/png", "svg": "image/svg+xml", "html": "text/html"}
    return new_output("display_data", {media_types[name]: data[name] for name in data})


NOTEBOOK = new_notebook(
    cells=[
        new_markdown_cell(f"{LOGO}\n\n|a|b|\n|-|-|\n|1|2|"),
        new_code_cell("plot()", outputs=[displayed(png=PNG, html="<b>a figure</b>")]),
        new_code_cell("plot()", outputs=[displayed(svg='<svg><svg></svg><path d="M0 0"/></svg>')]),
        new_code_cell("frame", outputs=[displayed(html=f"<div>{TABLE}</div>{LOGO}")]),
        new_code_cell("print()", outputs=[new_output("stream", text="<img src='x'><table>")]),
        new_code_cell("nothing = 1"),
    ]
)


def test_what_is_in_the_outputs_of_a_notebook_counts(tmp_path: Path) -> None:
    nbformat.write(NOTEBOOK, tmp_path / "x.ipynb")

    assert count_results.count(tmp_path / "x.ipynb") == {"outputs": 4, "images": 3, "tables": 1}


def test_a_page_of_a_notebook_has_the_same_counts_without_its_markdown(tmp_path: Path) -> None:
    NOTEBOOK.cells[1].outputs[0].data.pop("text/html")
    (tmp_path / "x.html").write_text(render_page(NOTEBOOK))

    assert count_results.count(tmp_path / "x.html") == {"outputs": 4, "images": 3, "tables": 1}


def test_a_page_of_a_notebook_without_outputs_has_no_results(tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text(render_page(new_notebook(cells=[new_markdown_cell(LOGO)])))

    assert count_results.count(tmp_path / "x.html")["images"] == 0


def test_another_page_is_counted_as_a_whole(tmp_path: Path) -> None:
    not_shown = f"<!-- {LOGO} --><script>'{LOGO}'</script><img alt=x>"
    page = f"<!doctype html>{LOGO}{TABLE}<svg/><svg><svg></svg></svg>{not_shown}"
    (tmp_path / "x.html").write_text(page)

    assert count_results.count(tmp_path / "x.html") == {"images": 3, "tables": 1}


def test_a_tag_that_does_not_end_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text(f"<!doctype html>{LOGO}<img src='half")

    assert count_results.count(tmp_path / "x.html")["images"] == 1


@pytest.mark.parametrize(
    "hostile",
    ["<a ", "<!--", "<img src='", "<script>", "&", "<svg>", "<", "</", "<div class="],
)
def test_no_page_takes_long_to_count(tmp_path: Path, hostile: str) -> None:
    path = tmp_path / "x.html"
    path.write_text("<!doctype html>" + hostile * ((1 << 16) // len(hostile)))

    assert count_results.count(path)["tables"] == 0


def test_a_declaration_that_the_parser_does_not_know_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text(f"<!doctype html><![x>{LOGO}")

    try:  # newer versions of Python take it for a comment
        found = count_results.count(tmp_path / "x.html")
    except UncountableError as error:
        assert str(error).startswith("is not HTML that can be read: ")  # noqa: PT017
    else:
        assert found == {"images": 1}


def test_a_page_is_not_held_in_memory_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.html"
    path.write_text("<!doctype html>" + f"<p>{'text ' * (1 << 16)}</p>\n" * 48)
    tracemalloc.start()
    try:
        count_results.count(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < path.stat().st_size


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("a,b", "is text, in which nothing can be counted"),
        ("{}", "is not a notebook: "),
        ('{"nbformat": 4, "cells": [1]}', "is not a notebook: "),
    ],
)
def test_where_nothing_can_be_counted_it_says_why(tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "x").write_text(content)

    with pytest.raises(UncountableError, match=why):
        count_results.count(tmp_path / "x")


def notebook_with(directory: Path, output: str) -> Path:
    """Write a notebook with one output, given as JSON."""
    cell = '{"cell_type": "code", "source": "", "metadata": {}, "outputs": [' + output + "]}"
    path = directory / "x.ipynb"
    path.write_text('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [' + cell + "]}")
    return path


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ('{"data": [1]}', {"outputs": 1}),
        ('{"data": {"text/html": 5, "image/png": 6}}', {"outputs": 1, "images": 1}),
        ('{"data": {"text/html": [5, "<table>"]}}', {"outputs": 1, "tables": 1}),
    ],
)
def test_outputs_that_nbformat_does_not_know_end_no_count(
    tmp_path: Path, output: str, found: dict[str, int]
) -> None:
    path = notebook_with(tmp_path, output)

    assert {name: n for name, n in count_results.count(path).items() if n} == found


@pytest.mark.parametrize(
    "output", ["1", '{"data": {"application/json": ' + "[" * 5000 + "]" * 5000 + "}}"]
)
def test_outputs_that_nbformat_cannot_read_cannot_be_counted(tmp_path: Path, output: str) -> None:
    with pytest.raises(UncountableError, match="is not a notebook: "):
        count_results.count(notebook_with(tmp_path, output))


def test_what_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_types, "LARGEST", 2 << 20)
    (tmp_path / "x.ipynb").write_text('{"cells": "' + "x" * (2 << 20) + '"}')
    (tmp_path / "x.html").write_text("<!doctype html><img src='" + "x" * (2 << 20) + "'>")

    for name in ("x.ipynb", "x.html"):
        with pytest.raises(UncountableError, match="is larger than 2 MiB, too large to look into"):
            count_results.count(tmp_path / name)
