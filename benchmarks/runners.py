"""The programs that are compared, each as its documentation tells a user to call it."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]

_HERE: Final = Path(__file__).parent
_BIN: Final = Path(sys.executable).parent


@dataclass(frozen=True, kw_only=True)
class Files:
    """Where a run reads and writes."""

    notebook: Path
    output: Path
    page: Path


@dataclass(frozen=True, kw_only=True)
class Runner:
    """One way to do a job: a command, or several one after the other.

    ``missing`` says why it cannot be used here, or nothing.
    """

    name: str
    commands: Callable[[Files], list[list[str]]]
    missing: Callable[[], str] = lambda: ""


def _script(name: str) -> Callable[[Files], list[list[str]]]:
    def commands(files: Files) -> list[list[str]]:
        return [[sys.executable, "-P", str(_HERE / name), str(files.notebook), str(files.output)]]

    return commands


def _papermill(files: Files, *options: str) -> list[str]:
    return [
        str(_BIN / "papermill"),
        *options,
        "--no-progress-bar",
        str(files.notebook),
        str(files.output),
    ]


def _stepkit(command: str, *arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "stepkit", command, *arguments]


def _execute(files: Files, *options: str) -> list[str]:
    paths = ["--notebook", str(files.notebook), "--output", str(files.output)]
    return _stepkit("execute-notebook", *paths, *options)


def _nbconvert(source: Path, page: Path) -> list[str]:
    """Call it as everybody does, through the dispatcher."""
    where = ["--output-dir", str(page.parent), "--output", page.name]
    return [str(_BIN / "jupyter"), "nbconvert", "--to", "html", *where, str(source)]


def _no_engine() -> str:
    names = {point.name for point in entry_points(group="papermill.engine")}
    return "" if "stepkit" in names else "no papermill engine `stepkit` is installed"


@functools.cache
def _no_page() -> str:
    done = subprocess.run(
        _stepkit("execute-notebook", "--help"),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if done.returncode:
        return f"`stepkit execute-notebook --help` ends with {done.returncode}"
    return "" if "--page" in done.stdout else "execute-notebook has no --page"


def _convert(files: Files) -> list[list[str]]:
    paths = ["--notebook", str(files.notebook), "--page", str(files.page)]
    return [_stepkit("convert-notebook", *paths)]


EXECUTE: Final = (
    Runner(name="floor", commands=_script("floor.py")),
    Runner(name="nbclient", commands=_script("bare_nbclient.py")),
    Runner(name="papermill", commands=lambda files: [_papermill(files)]),
    Runner(name="stepkit", commands=lambda files: [_execute(files)]),
    Runner(
        name="papermill --engine stepkit",
        commands=lambda files: [_papermill(files, "--engine", "stepkit")],
        missing=_no_engine,
    ),
)
CONVERT: Final = (
    Runner(
        name="jupyter nbconvert", commands=lambda files: [_nbconvert(files.notebook, files.page)]
    ),
    Runner(name="stepkit", commands=_convert),
)
BOTH: Final = (
    Runner(
        name="papermill, then nbconvert",
        commands=lambda files: [_papermill(files), _nbconvert(files.output, files.page)],
    ),
    Runner(
        name="stepkit --page",
        commands=lambda files: [_execute(files, "--page", str(files.page))],
        missing=_no_page,
    ),
)


def environment(scratch: Path) -> dict[str, str]:
    """Return the environment of every run: the caller's, but a Jupyter and IPython of its own."""
    own = {
        "PATH": f"{_BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "IPYTHONDIR": str(scratch / "ipython"),
        "JUPYTER_CONFIG_DIR": str(scratch / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
    }
    dropped = {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONWARNINGS"}
    return {name: value for name, value in os.environ.items() if name not in dropped} | own
