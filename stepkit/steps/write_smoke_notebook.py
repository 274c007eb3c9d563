"""Write the smoke notebook of a GPU image, and its tests, into a directory.

The notebook sets RMM up as RAPIDS' single-cell notebooks do, computes with CuPy on that memory and
checks the sum. The tests read the executed notebook and its page. Both are in the package, so that
every image has them: nothing is cloned. The Pipeline `smoke` executes, converts and tests it.

For example:

    stepkit write-smoke-notebook --directory smoke
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Final

from stepkit.options import WRITES
from stepkit.system import atomic_files

_SMOKE: Final = resources.files("stepkit.notebook") / "smoke"
_NOTEBOOK: Final = "smoke.ipynb"
_TESTS: Final = "test_smoke.py"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where to write."""

    directory: Annotated[Path, "directory to write into; made if missing", WRITES]


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What was written."""

    notebook: Annotated[Path, "absolute path of the notebook"]
    tests: Annotated[Path, "absolute path of the directory of its tests, a checkout for run-tests"]
    message: Annotated[str, "what was written, in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Write both files, over those that an earlier run wrote."""
    directory = options.directory.absolute()
    notebook, tests = directory / _NOTEBOOK, directory / "tests"
    for name, path in ((_NOTEBOOK, notebook), (_TESTS, tests / _TESTS)):
        atomic_files.write_atomically(path, (_SMOKE / name).read_text(encoding="utf-8"))
    return Outputs(notebook=notebook, tests=tests, message=f"wrote {notebook} and its tests")
