"""Where a notebook failed: the cell, and the line of its file."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from stepkit.errors import Evidence, Place, StepError
from stepkit.notebook import verdict
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from pathlib import Path

    from stepkit.notebook.verdict import CellRun, Execution

_KEY: Final = re.compile(r'(\s*)"(id|source)": ("(?:[^"\\]|\\.)*"|\[)?,?\s*')


def find(execution: Execution, notebook: Path) -> Place | None:
    """Return the place of the cell that failed or was stopped, None if none was.

    The line is that of ``notebook``'s JSON, as an editor of text and a diff show it. It is unknown
    where the file is not formatted as Jupyter does it, or where a rule changed the cell.
    """
    cell = verdict.deciding_cell(execution)
    if cell is None:
        return None
    title = verdict.place_of(execution, cell)
    return Place(title=title, file=str(notebook), line=_line(notebook, cell))


def _line(notebook: Path, cell: CellRun) -> int | None:
    try:
        rows = atomic_files.read(notebook).decode(errors="replace").splitlines()
    except StepError:
        return None
    error = cell.error or Evidence()
    code = error.source.split("\n")[(error.line or 1) - 1]
    source = _source(rows, cell.id)
    same = [number for number, text in source.items() if text == code]
    expected = min(source, default=0) + (error.line or 1) - 1
    return expected if expected in same else same[0] if len(same) == 1 else None


def _source(rows: list[str], cell_id: str) -> dict[int, str]:
    """Return the lines of a cell's code by the numbers of their rows in the file, from 1."""
    indent = None
    for number, row in enumerate(rows, 1):
        key = _KEY.fullmatch(row)
        if key and key[2] == "id" and key[3] == json.dumps(cell_id):
            indent = key[1] if indent is None else min(indent, key[1], key=len)
        elif key and key[2] == "source" and key[1] == indent and key[3] == "[":
            return _strings(rows, number)
    return {}


def _strings(rows: list[str], start: int) -> dict[int, str]:
    """Return the texts in the rows after row ``start``, up to one that is not a text."""
    found: dict[int, str] = {}
    for number, row in enumerate(rows[start:], start + 1):
        try:
            text = json.loads(row.strip().removesuffix(","))
        except ValueError:
            break
        if not isinstance(text, str):
            break
        found[number] = text.rstrip("\n")
    return found
