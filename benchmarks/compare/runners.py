"""The programs that are compared, each as its documentation tells a user to call it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from benchmarks import process
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


def _missing_engine() -> str:
    names = {point.name for point in entry_points(group="papermill.engine")}
    return "" if "stepkit" in names else "no papermill engine `stepkit` is installed"


_PATHS: Final = ("{notebook}", "{directory}/out.ipynb")
_PAGE: Final = ("--page", "{directory}/page.html")
_BARE_LOOPS: Final = (sys.executable, "-P", str(Path(__file__).with_name("bare_loops.py")))
_PAPERMILL: Final = (str(BIN / "papermill"), *_PATHS, "--no-progress-bar")
_STEPKIT: Final = (*STEPKIT, "execute-notebook", "--notebook", _PATHS[0], "--output", _PATHS[1])
# As everybody calls it, through the dispatcher.
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
