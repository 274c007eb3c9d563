"""Tests of the executed smoke notebook and of its page, for `stepkit run-tests`."""

import html
import json
import re
from pathlib import Path
from typing import Any

INPUT = Path(__file__).with_name("input")


def executed_cells() -> list[dict[str, Any]]:
    """Return the code cells of the executed notebook."""
    notebook = json.loads((INPUT / "smoke.ipynb").read_text(encoding="utf-8"))
    cells: list[dict[str, Any]] = notebook["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def printed(cells: list[dict[str, Any]]) -> str:
    """Return what the cells printed."""
    outputs = [output for cell in cells for output in cell["outputs"]]
    return "".join("".join(output.get("text", "")) for output in outputs)


def test_every_cell_ran_without_an_error() -> None:
    cells = executed_cells()
    assert cells
    assert all(cell["execution_count"] is not None for cell in cells)
    kinds = {output["output_type"] for cell in cells for output in cell["outputs"]}
    assert "error" not in kinds


def test_the_gpu_computed_the_right_sum() -> None:
    text = printed(executed_cells())
    found = dict(re.findall(r"^(\w+): (\d+)$", text, re.MULTILINE))
    count = int(found["bytes"]) // 8
    assert int(found["sum"]) == count * (count - 1) // 2


def test_the_page_shows_the_sum() -> None:
    page = (INPUT / "smoke.html").read_text(encoding="utf-8")
    shown = re.findall(r"^sum: \d+$", printed(executed_cells()), re.MULTILINE)
    assert shown
    assert shown[0] in html.unescape(re.sub(r"<[^>]+>", "", page))
    assert "Traceback (most recent call last)" not in page
