"""Notebooks that rules change, and what became of them."""

from collections.abc import Callable
from typing import Any

import nbformat

from stepkit import rules

Written = Callable[[str], rules.Book]
Changed = Callable[..., rules.Patched]


def notebook(*sources: str, tags: dict[int, list[str]] | None = None, language: str = "") -> Any:
    """Make a notebook of code cells with the ids c1, c2, ..."""
    nb = nbformat.v4.new_notebook()
    if language:
        nb.metadata["kernelspec"] = {"name": "x", "display_name": "x", "language": language}
    for number, source in enumerate(sources, 1):
        metadata = {"tags": tags[number]} if tags and number in tags else {}
        nb.cells.append(nbformat.v4.new_code_cell(source, id=f"c{number}", metadata=metadata))
    return nb


def cell_sources(patched: rules.Patched) -> list[str]:
    return [cell.source for cell in patched.notebook.cells]
