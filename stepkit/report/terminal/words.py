"""Texts of a record as the page on a terminal spells them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepkit.report.run_json_notebook import NotebookJson


def line_of(text: str) -> str:
    """Return a text as one line."""
    return " ".join(text.split())


def name_of(notebook: NotebookJson) -> str:
    """Return the name of a notebook, with its variant."""
    variant = f" [{notebook['variant']}]" if notebook["variant"] else ""
    return line_of(notebook["name"] + variant)
