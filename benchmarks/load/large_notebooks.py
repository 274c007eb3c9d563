"""A notebook of many cells, and one that prints very much: execute, convert, summarize."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks import contents, notebooks
from benchmarks.contents import Contents
from benchmarks.load.measured import Measured, left_behind, stepkit

_OUTPUT: Final = 2  # MB that each cell prints


def cells(scratch: Path, size: int) -> Iterator[Measured]:
    """Play a notebook of ``size`` cells that print a number each."""
    yield from _play(scratch, size, notebooks.trivial_cells(scratch / "in.ipynb", size))


def output(scratch: Path, size: int) -> Iterator[Measured]:
    """Play a notebook that prints ``size`` MB, 2 MB in each cell."""
    yield from _play(scratch, size, notebooks.text(scratch / "in.ipynb", size // _OUTPUT))


def _play(scratch: Path, size: int, expected: Contents) -> Iterator[Measured]:
    out = scratch / "out"
    reports, executed = out / "reports", out / "out.ipynb"
    args = ("--notebook", scratch / "in.ipynb", "--output", executed)
    report = ("--report", reports / "execute-notebook.json")
    ran = stepkit("execute-notebook", size, *args, *report, scratch=scratch)
    yield ran.having(filter(None, [contents.compare(executed, expected)]))

    args = ("--notebook", executed, "--output", out / "page.html")
    report = ("--report", reports / "convert-notebook.json")
    yield stepkit("convert-notebook", size, *args, *report, scratch=scratch)

    summary = ("--summary", out / "STEP_SUMMARY.md", "--html", out / "report.html")
    ran = stepkit("summarize", size, "--reports", reports, *summary, scratch=scratch)
    yield ran.having(left_behind(scratch))
