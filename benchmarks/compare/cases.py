"""What is measured: a notebook, the job done with it, and who does it."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from benchmarks import notebooks
from benchmarks.compare import runners
from benchmarks.compare.runners import Runner
from benchmarks.contents import Contents

Job = Literal["execute", "convert", "both"]


@dataclass(frozen=True)
class Case:
    """One notebook and one job.

    ``build`` writes the notebook and returns what a run must leave. ``executed`` is whether the
    notebook is executed before it is converted. Runners in ``slow`` take minutes and get fewer
    rounds. The first of ``runners`` is what the others are compared with, the one named ``stock``
    is what users have today.
    """

    name: str
    what: str
    build: Callable[[Path], Contents]
    _: KW_ONLY
    job: Job
    runners: tuple[Runner, ...]
    stock: str
    slow: frozenset[str] = frozenset()
    executed: bool = False

    @property
    def about(self) -> dict[str, Any]:
        """What a record keeps of the case."""
        runners = [runner.name for runner in self.runners]
        return {"what": self.what, "stock": self.stock, "runners": runners}


_execute = partial(Case, job="execute", runners=runners.EXECUTE, stock="papermill")
_execute_slow = partial(_execute, slow=frozenset({"papermill"}))
_convert = partial(Case, job="convert", runners=runners.CONVERT, stock="jupyter nbconvert")
_convert_slow = partial(_convert, slow=frozenset({"jupyter nbconvert"}))
_both = partial(Case, job="both", runners=runners.BOTH, stock="papermill, then nbconvert")

_cells, _images, _text = notebooks.trivial_cells, notebooks.images, notebooks.text
_stream, _displays, _tables = notebooks.stream, notebooks.displays, notebooks.tables
_real = notebooks.real_shaped

FULL: Final = (
    _execute("cells-100", "100 trivial cells", partial(_cells, count=100)),
    _execute_slow("cells-400", "400 trivial cells", partial(_cells, count=400)),
    _execute_slow("cells-800", "800 trivial cells", partial(_cells, count=800)),
    _execute_slow("images-60x2mb", "60 pictures of 2 MB", partial(_images, count=60)),
    _execute_slow("text-60x2mb", "60 prints of 2 MB", partial(_text, count=60)),
    _execute("real-4mb", "90 cells, 4 MB, as an analysis", _real),
    _execute("stream-20000", "20,000 flushed lines", partial(_stream, lines=20_000)),
    _execute("displays-20000", "20,000 display() calls", partial(_displays, count=20_000)),
    _convert("convert-real-4mb", "90 cells, 4 MB", _real, executed=True),
    _convert(
        "convert-images-120mb", "60 pictures of 2 MB", partial(_images, count=60), executed=True
    ),
    _convert_slow("convert-tables-24mb", "60 tables of 0.4 MB", partial(_tables, count=60)),
    _both("both-real-4mb", "90 cells, 4 MB, executed and on a page", _real),
)
QUICK: Final = (
    _execute("cells-100", "100 trivial cells", partial(_cells, count=100)),
    _execute("images-6x2mb", "6 pictures of 2 MB", partial(_images, count=6)),
    _execute("text-6x2mb", "6 prints of 2 MB", partial(_text, count=6)),
    _execute("stream-1000", "1,000 flushed lines", partial(_stream, lines=1000)),
    _convert("convert-real-4mb", "90 cells, 4 MB", _real, executed=True),
    _convert("convert-tables-1mb", "3 tables of 0.4 MB", partial(_tables, count=3)),
    _both("both-real-4mb", "90 cells, 4 MB, executed and on a page", _real),
)
