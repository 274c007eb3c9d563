"""What is measured: notebooks, the programs that are compared on them, and their runs in turn."""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

from benchmarks import contents, process
from benchmarks.contents import Contents
from benchmarks.notebooks import (
    displays,
    formulas,
    images,
    real_shaped,
    stream,
    tables,
    text,
    trivial_cells,
)
from benchmarks.process import BIN, STEPKIT, Usage


@dataclass(frozen=True)
class Runner:
    """One way to do a job: a command, or several one after the other.

    In a command, ``{notebook}`` is the notebook that is read and ``{directory}`` where it writes
    ``out.ipynb`` or ``page.html``. ``missing`` says why it cannot be used here, or nothing.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    missing: Callable[[], str] = lambda: ""

    def run(self, notebook: Path, directory: Path) -> tuple[Usage, str]:
        """Run all commands up to the first that fails; return what they took, and why it failed."""
        usages, problem = [], ""
        env = process.environment(notebook.parent)
        for command in self.commands:
            words = [word.format(notebook=notebook, directory=directory) for word in command]
            done = process.run(words, env=env, cwd=directory)
            usages.append(done.usage)
            problem = done.problem
            if problem:
                break
        usage = Usage(
            wall=sum(usage.wall for usage in usages),
            first_output=usages[0].first_output,
            runner_cpu=sum(usage.runner_cpu for usage in usages),
            tree_cpu=sum(usage.tree_cpu for usage in usages),
            runner_memory=max(usage.runner_memory for usage in usages),
            tree_memory=max(usage.tree_memory for usage in usages),
        )
        return usage, problem

    def run_and_check(self, notebook: Path, expected: Contents) -> tuple[Usage, str]:
        """Return what a run took, and why it failed or what its files lack of ``expected``."""
        words = [word for command in self.commands for word in command]
        names = [name for name in ("out.ipynb", "page.html") if any(name in word for word in words)]
        with tempfile.TemporaryDirectory(dir=notebook.parent) as directory:
            usage, problem = self.run(notebook, Path(directory))
            lost = [contents.compare(Path(directory, name), expected) for name in names]
        return usage, problem or "; ".join(filter(None, lost))


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
    runners: tuple[Runner, ...]
    stock: str
    slow: frozenset[str] = frozenset()
    executed: bool = False

    @property
    def about(self) -> dict[str, Any]:
        """What a record keeps of the case."""
        return {"what": self.what, "stock": self.stock, "runners": [r.name for r in self.runners]}

    def prepare(self, scratch: Path) -> tuple[Path, Contents]:
        """Write the notebook; return where it is, and what a run must leave."""
        notebook = scratch / f"{self.name}.ipynb"
        expected = self.build(notebook)
        if self.executed:
            with tempfile.TemporaryDirectory(dir=scratch) as directory:
                _, problem = EXECUTE[0].run(notebook, Path(directory))
                if problem:
                    raise RuntimeError(f"{self.name} was not executed: {problem}")
                Path(directory, "out.ipynb").replace(notebook)
        return notebook, expected


@dataclass(frozen=True)
class Sample:
    """One run of one runner on one case; ``problem`` says what it lost, or how it failed."""

    case: str
    runner: str
    turn: int
    usage: Usage
    problem: str = ""


def run_in_turn(
    cases: Sequence[Case], scratch: Path, turns: int, slow_turns: int, skipped: dict[str, str]
) -> Iterator[Sample]:
    """Yield a sample for each run: in each turn every case, in each case every runner.

    Runners take the lead in turn, so that none always has the warm or the busy machine. Each runs
    once before that: the system reads its program from the disk, and IPython makes its profile.
    ``skipped`` gets the runners that cannot be used here, each with the reason.
    """
    prepared = [(case, *case.prepare(scratch)) for case in cases]
    everyone = dict.fromkeys(runner for case in cases for runner in case.runners)
    skipped |= {runner.name: reason for runner in everyone if (reason := runner.missing())}
    warm_up = scratch / "warm-up.ipynb"
    expected = trivial_cells(warm_up, 1)
    for runner in everyone:
        if runner.name not in skipped:
            runner.run_and_check(warm_up, expected)
    for turn in range(turns):
        for case, notebook, expected in prepared:
            usable = [runner for runner in case.runners if runner.name not in skipped]
            first = turn % len(usable)
            for runner in usable[first:] + usable[:first]:
                if turn < slow_turns or runner.name not in case.slow:
                    found = runner.run_and_check(notebook, expected)
                    yield Sample(case.name, runner.name, turn, *found)


def _missing_engine() -> str:
    installed = entry_points(group="papermill.engine", name="stepkit")
    return "" if installed else "no papermill engine `stepkit` is installed"


_PATHS: Final = ("{notebook}", "{directory}/out.ipynb")
_PAGE: Final = ("--page", "{directory}/page.html")
_BARE_LOOPS: Final = (sys.executable, "-P", str(Path(__file__).with_name("bare_loops.py")))
_PAPERMILL: Final = (str(BIN / "papermill"), *_PATHS, "--no-progress-bar")
_STEPKIT: Final = (*STEPKIT, "execute-notebook", "--notebook", _PATHS[0], "--output", _PATHS[1])
# Through the `jupyter` command, as users call it.
_TO_HTML: Final = ("nbconvert", "--to", "html", "--output-dir", "{directory}")
_NBCONVERT: Final = (str(BIN / "jupyter"), *_TO_HTML, "--output", "page.html")

EXECUTE: Final = (
    Runner("floor", ((*_BARE_LOOPS, "floor", *_PATHS),)),
    Runner("nbclient", ((*_BARE_LOOPS, "nbclient", *_PATHS),)),
    Runner("papermill", (_PAPERMILL,)),
    Runner("stepkit", (_STEPKIT,)),
    Runner("papermill --engine stepkit", ((*_PAPERMILL, "--engine", "stepkit"),), _missing_engine),
)
CONVERT: Final = (
    Runner("jupyter nbconvert", ((*_NBCONVERT, "{notebook}"),)),
    Runner("stepkit", ((*STEPKIT, "convert-notebook", "--notebook", "{notebook}", *_PAGE),)),
)
BOTH: Final = (
    Runner("papermill, then nbconvert", (_PAPERMILL, (*_NBCONVERT, "{directory}/out.ipynb"))),
    Runner("stepkit --page", ((*_STEPKIT, *_PAGE),)),
)

_execute = partial(Case, runners=EXECUTE, stock="papermill")
_execute_slow = partial(_execute, slow=frozenset({"papermill"}))
_convert = partial(Case, runners=CONVERT, stock="jupyter nbconvert")
_convert_executed = partial(_convert, executed=True)
_convert_slow = partial(_convert, slow=frozenset({"jupyter nbconvert"}))
_both = partial(Case, runners=BOTH, stock="papermill, then nbconvert")

FULL: Final = (
    _execute("cells-100", "100 trivial cells", partial(trivial_cells, count=100)),
    _execute_slow("cells-400", "400 trivial cells", partial(trivial_cells, count=400)),
    _execute_slow("cells-800", "800 trivial cells", partial(trivial_cells, count=800)),
    _execute_slow("images-60x2mb", "60 pictures of 2 MB", partial(images, count=60)),
    _execute_slow("text-60x2mb", "60 prints of 2 MB", partial(text, count=60)),
    _execute("real-4mb", "90 cells, 4 MB, as an analysis", real_shaped),
    _execute("stream-20000", "20,000 flushed lines", partial(stream, lines=20_000)),
    _execute("displays-20000", "20,000 display() calls", partial(displays, count=20_000)),
    _convert_executed("convert-real-4mb", "90 cells, 4 MB", real_shaped),
    _convert_executed("convert-images-120mb", "60 pictures of 2 MB", partial(images, count=60)),
    _convert_slow("convert-tables-24mb", "60 tables of 0.4 MB", partial(tables, count=60)),
    _convert("convert-formulas-150", "1,500 formulas in 150 cells", partial(formulas, count=150)),
    _convert("convert-formulas-600", "6,000 formulas in 600 cells", partial(formulas, count=600)),
    _both("both-real-4mb", "90 cells, 4 MB, executed and on a page", real_shaped),
)
QUICK: Final = (
    _execute("cells-100", "100 trivial cells", partial(trivial_cells, count=100)),
    _execute("images-6x2mb", "6 pictures of 2 MB", partial(images, count=6)),
    _execute("text-6x2mb", "6 prints of 2 MB", partial(text, count=6)),
    _execute("stream-1000", "1,000 flushed lines", partial(stream, lines=1000)),
    _convert_executed("convert-real-4mb", "90 cells, 4 MB", real_shaped),
    _convert("convert-tables-1mb", "3 tables of 0.4 MB", partial(tables, count=3)),
    _both("both-real-4mb", "90 cells, 4 MB, executed and on a page", real_shaped),
)
