"""What differs from a golden notebook is in the record of a run, and in its summary."""

from pathlib import Path
from typing import Any

import run_records
from recorded import summarized
from step_reports import summary, write_report

from stepkit.report import shorten_record

IMAGE = "data:image/png;base64,iVBORw0KGgo="


def compared(directory: Path, *differences: dict[str, Any], **values: Any) -> Path:
    """Write the report of a notebook whose comparison says this."""
    usual = {"cell": 1, "index": 0, "id": "c1", "title": "df", "output": "text/html",
             "kind": "table", "message": "3 is not 2", "golden": "2", "new": "3",
             "images": []}  # fmt: skip
    golden = {"golden": "golden/a.ipynb", "compared": 2, "differing": len(differences),
              "within": 1, "largest": 0.02, "ignored": [{"cell": 2, "why": "no seed"}],
              "differences": [{**usual, **each} for each in differences], **values}  # fmt: skip
    cell = {"number": 1, "index": 0, "title": "df", "status": "ok", "seconds": 1.0,
            "injected": "", "error": None}  # fmt: skip
    outputs = {"cells": [cell], "golden": golden}
    write_report(directory / "reports", "execute-notebook", outputs=outputs)
    return directory


def test_each_difference_is_recorded_with_both_values_and_its_images(tmp_path: Path) -> None:
    images = [IMAGE, "https://example.com/a.png", "data:image/png;base64," + "A" * 200_000]

    (notebook,) = summarized(compared(tmp_path, {"images": images, "new": "3\x1b[31m"}))[
        "notebooks"
    ]

    golden = notebook["golden"]
    assert golden
    assert golden["path"].endswith("golden/a.ipynb")
    assert (golden["compared"], golden["within"], golden["largest"]) == (2, 1, 0.02)
    assert golden["ignored"] == [{"cell": 2, "why": "no seed"}]
    assert golden["differences"] == [
        {"cell": 1, "index": 0, "title": "df", "output": "text/html", "message": "3 is not 2",
         "golden": "2", "new": "3", "images": [IMAGE]}
    ]  # fmt: skip


def test_the_summary_lists_what_differs(tmp_path: Path) -> None:
    compared(tmp_path, {}, {"output": "stdout"})

    text = summary(tmp_path / "reports")
    assert "golden/a.ipynb`: 2 outputs of 2 cells differ, 1 value within the limits, 1 not" in text
    assert "- cell 1 (`df`), text/html: 3 is not 2\n- cell 1 (`df`), stdout: 3 is not 2" in text


def test_the_summary_of_a_notebook_as_golden_says_so(tmp_path: Path) -> None:
    compared(tmp_path)

    assert "nothing in 2 cells differs" in summary(tmp_path / "reports")


def test_a_record_that_is_too_large_loses_the_images_first() -> None:
    image = "data:image/png;base64," + "A" * 90_000
    found = [run_records.golden({"images": [image] * 3}) for _ in range(10)]
    run = run_records.run(notebooks=[run_records.notebook(golden=golden) for golden in found])

    assert len(shorten_record.as_text(run)) < 2_000_000

    assert run["left_out"] == {"images": 10}
    run_records.validate(run)
