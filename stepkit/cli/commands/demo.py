"""Run a small notebook and its tests through the Pipeline notebook-ci, to see what stepkit does.

The notebook, its tests and the Pipeline are in the package, and nothing is downloaded: it takes
less than half a minute, without a network. The run and its report stay in --directory. It needs
git; tests run where pytest is installed beside stepkit (`pip install 'stepkit[tests]'`).

For example:

    stepkit demo
    stepkit demo --failing
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from stepkit.errors import StepError

if TYPE_CHECKING:
    from stepkit.cli.commands.run_local import Outputs as RunLocalOutputs

logger = logging.getLogger(__name__)

_REPOSITORIES: Final = Path(__file__).parents[1] / "demo_repositories"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which demo, and where."""

    failing: Annotated[bool, "let a cell fail, to see how a failure is shown"] = False
    directory: Annotated[Path, "where each run makes its directory"] = Path("stepkit-demo")


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What there is to open."""

    report: Annotated[Path | None, "the page of the run: open it in a browser"] = None
    page: Annotated[Path | None, "the notebook as a page"] = None
    run: Annotated[Path | None, "the directory of the run"] = None
    message: Annotated[str, "how the run went"] = ""


def run(options: Options) -> Outputs:
    """Make the two repositories, run the Pipeline, and return its files."""
    from stepkit.cli.commands import run_local
    from stepkit.git.make_repository import make_repository
    from stepkit.system import atomic_files
    from stepkit.tekton import shipped

    directory = options.directory.absolute()
    repositories = directory / ".stepkit-demo"  # stays: "run it again" in the report clones it
    with atomic_files.replacing(repositories) as new:
        for name in ("notebooks", "tests"):
            make_repository(_REPOSITORIES / name, new / f"{name}.git")
    params = _params(options, repositories)
    pipeline = run_local.Options(
        pipeline=shipped.pipelines()["notebook-ci"],
        param=tuple(f"{name}={value}" for name, value in params.items()),
        workspace=(f"shared={directory}",),
    )
    try:
        done = run_local.run(pipeline)
    except StepError as error:
        if not isinstance(error.outputs, run_local.Outputs):
            raise
        found = _files(directory, error.outputs)
        where = f"; open {found.report.as_uri()}" if found.report else ""
        raise error.leaving(found, suffix=where) from error
    without = "" if "tests-url" in params else ", without tests (pytest is not installed)"
    return _files(directory, replace(done, message=f"{done.message}{without}"))


def _files(directory: Path, done: RunLocalOutputs) -> Outputs:
    """Return the files of a run in ``directory`` that are there."""
    found = directory / done.run
    report, page = found / "artifacts/report.html", found / "artifacts/output_analysis.html"
    return Outputs(
        report=report if report.is_file() else None,
        page=page if page.is_file() else None,
        run=found if found.is_dir() else None,
        message=f"{done.message}; open {report.as_uri()}",
    )


def _params(options: Options, repositories: Path) -> dict[str, str]:
    """Return the params of the Pipeline."""
    from importlib.util import find_spec

    urls = {name: (repositories / f"{name}.git").as_uri() for name in ("notebooks", "tests")}
    params = {"notebooks-url": urls["notebooks"], "notebook": "growth.ipynb", "installer": "none"}
    if options.failing:
        params["parameters"] = '["samples=1"]'  # too few for the fit
    if find_spec("pytest"):
        params["tests-url"] = urls["tests"]
        params["with-coverage"] = str(bool(find_spec("pytest_cov"))).lower()
        params["with-html"] = str(bool(find_spec("pytest_html"))).lower()
    else:
        logger.info("no tests: pytest is not installed (pip install 'stepkit[tests]')")
    return params
