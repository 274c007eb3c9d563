"""Many notebooks in one run of execute-notebooks; every tenth raises."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import nbformat

from benchmarks import contents, notebooks
from benchmarks.load.measured import Measured, left_behind, stepkit

_FAILS: Final = 10  # one of so many


def play(scratch: Path, size: int) -> Iterator[Measured]:
    """Execute ``size`` notebooks, two at a time, and summarize the run."""
    source, out = scratch / "source", scratch / "out"
    source.mkdir()
    for number in range(size):
        path = source / f"n{number:03}.ipynb"
        notebooks.trivial_cells(path, 1)
        if number % _FAILS == 0:
            raising = nbformat.read(path, 4)
            raising.cells[0].source = f"raise ValueError({number})"
            nbformat.write(raising, path)
    reports = out / "reports"
    report = reports / "execute-notebooks.json"
    args = ("--notebooks", "source/*.ipynb", "--directory", out, "--reports", reports)
    more = ("--jobs", "2", "--report", report)
    ran = stepkit("execute-notebooks", size, *args, *more, scratch=scratch, code=3)
    yield ran.having(_wrong(json.loads(report.read_bytes())["outputs"]["notebooks"], out, size))

    summary = ("--summary", out / "STEP_SUMMARY.md", "--html", out / "report.html")
    ran = stepkit("summarize", size, "--reports", reports, *summary, scratch=scratch)
    found = len(json.loads((out / "run.json").read_bytes())["notebooks"])
    lost = [f"run.json has {found} of {size}"] * (found != size)
    yield ran.having(lost).having(left_behind(scratch))


def _wrong(found: list[dict[str, Any]], out: Path, size: int) -> Iterator[str]:
    """Name each notebook whose verdict or outputs are wrong."""
    if len(found) != size:
        yield f"{len(found)} of {size} notebooks are in the report"
    for number, one in enumerate(found):
        truth = "passed" if number % _FAILS else "failed"
        if (one["name"], one["status"]) != (f"n{number:03}", truth):
            yield f"{one['name']} {one['status']}, n{number:03} should have {truth}"
        written = contents.of_notebook(json.loads((out / f"{one['name']}.ipynb").read_bytes()))
        if (written.cells, written.stream > 0) != (1, truth == "passed"):
            yield f"{one['name']}.ipynb lacks outputs"
