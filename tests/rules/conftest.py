from pathlib import Path
from typing import Any

import pytest
from rule_books import Changed, Written, notebook

from stepkit import rules


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Write a rules file and load it."""

    def write(text: str) -> rules.Book:
        path = tmp_path / "rules.yaml"
        path.write_text(text)
        return rules.load(path)

    return write


@pytest.fixture
def changed(written: Written) -> Changed:
    """Apply the text of a rules file to a notebook of code cells with these sources."""

    def change(text: str, *sources: str, variant: str | None = None, **more: Any) -> rules.Patched:
        return rules.apply(notebook(*sources, **more), written(text), variant=variant)

    return change
