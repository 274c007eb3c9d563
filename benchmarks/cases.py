"""What is measured: a notebook, the job done with it, and who does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

from benchmarks import notebooks, runners
from benchmarks.runners import Runner
from benchmarks.tally import Tally

Job = Literal["execute", "convert", "both"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One notebook and one job.

    ``build`` writes the notebook and tells what a run must leave. ``executed`` is one that is
    converted: it is executed first, unless it is written with its outputs. Runners in ``slow``
    take minutes and get fewer rounds. The first of ``runners`` is what the others are compared
    with, the one named ``stock`` is what users have today.
    """

    name: str
    what: str
    job: Job
    build: Callable[[Path], Tally]
    runners: tuple[Runner, ...]
    stock: str
    slow: frozenset[str] = frozenset()
    executed: bool = False


_PAPERMILL: Final = frozenset({"papermill"})


def _execute(
    name: str, what: str, build: Callable[[Path], Tally], slow: frozenset[str] = frozenset()
) -> Case:
    return Case(
        name=name,
        what=what,
        job="execute",
        build=build,
        runners=runners.EXECUTE,
        stock="papermill",
        slow=slow,
    )


def _convert(
    name: str, what: str, build: Callable[[Path], Tally], *, slow: bool = False, run: bool = True
) -> Case:
    return Case(
        name=name,
        what=what,
        job="convert",
        build=build,
        runners=runners.CONVERT,
        stock="jupyter nbconvert",
        slow=frozenset({"jupyter nbconvert"} if slow else ()),
        executed=run,
    )


def _both(name: str, what: str, build: Callable[[Path], Tally]) -> Case:
    return Case(
        name=name,
        what=what,
        job="both",
        build=build,
        runners=runners.BOTH,
        stock="papermill, then nbconvert",
    )


_CELLS: Final = notebooks.trivial_cells
_REAL: Final = _execute("real-4mb", "90 cells, 4 MB, as an analysis", notebooks.real_shaped)
_CELLS_100: Final = _execute("cells-100", "100 trivial cells", partial(_CELLS, count=100))
_PAGE: Final = _convert("convert-real-4mb", "90 cells, 4 MB", notebooks.real_shaped)
_BOTH: Final = _both(
    "both-real-4mb", "90 cells, 4 MB, executed and on a page", notebooks.real_shaped
)

FULL: Final = (
    _CELLS_100,
    _execute("cells-400", "400 trivial cells", partial(_CELLS, count=400), _PAPERMILL),
    _execute("cells-800", "800 trivial cells", partial(_CELLS, count=800), _PAPERMILL),
    _execute(
        "images-60x2mb", "60 pictures of 2 MB", partial(notebooks.images, count=60), _PAPERMILL
    ),
    _execute("text-60x2mb", "60 prints of 2 MB", partial(notebooks.text, count=60), _PAPERMILL),
    _REAL,
    _execute("stream-20000", "20,000 flushed lines", partial(notebooks.stream, lines=20_000)),
    _execute("displays-20000", "20,000 display() calls", partial(notebooks.displays, count=20_000)),
    _PAGE,
    _convert("convert-images-120mb", "60 pictures of 2 MB", partial(notebooks.images, count=60)),
    _convert(
        "convert-tables-24mb",
        "60 tables of 0.4 MB",
        partial(notebooks.tables, count=60),
        slow=True,
        run=False,
    ),
    _BOTH,
)
QUICK: Final = (
    _CELLS_100,
    _execute("images-6x2mb", "6 pictures of 2 MB", partial(notebooks.images, count=6)),
    _execute("text-6x2mb", "6 prints of 2 MB", partial(notebooks.text, count=6)),
    _execute("stream-1000", "1,000 flushed lines", partial(notebooks.stream, lines=1000)),
    _PAGE,
    _convert(
        "convert-tables-1mb", "3 tables of 0.4 MB", partial(notebooks.tables, count=3), run=False
    ),
    _BOTH,
)
