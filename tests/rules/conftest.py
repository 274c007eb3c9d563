from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from stepkit import rules


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], rules.Book]:
    """Write a rules file and load it."""

    def write(text: str) -> rules.Book:
        path = tmp_path / "rules.yaml"
        path.write_text(text)
        return rules.load(path)

    return write


@pytest.fixture
def notebook() -> Callable[..., Any]:
    """Make a notebook of code cells with the ids c1, c2, ..."""

    def make(*sources: str, tags: dict[int, list[str]] | None = None, language: str = "") -> Any:
        nb = nbformat.v4.new_notebook()
        if language:
            nb.metadata["kernelspec"] = {"name": "x", "display_name": "x", "language": language}
        for number, source in enumerate(sources, 1):
            metadata = {"tags": tags[number]} if tags and number in tags else {}
            nb.cells.append(nbformat.v4.new_code_cell(source, id=f"c{number}", metadata=metadata))
        return nb

    return make
