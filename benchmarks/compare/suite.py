"""Run every case with every runner, in turn, and check what each run left."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import contents, notebooks
from benchmarks.compare import runners
from benchmarks.compare.cases import Case
from benchmarks.compare.runners import Runner
from benchmarks.contents import Contents
from benchmarks.process import Usage


@dataclass(frozen=True)
class Sample:
    """One run of one runner on one case; ``problem`` says what it lost, or how it failed."""

    case: str
    runner: str
    turn: int
    usage: Usage
    problem: str = ""


def run(
    cases: Sequence[Case], scratch: Path, turns: int, slow_turns: int, skipped: dict[str, str]
) -> Iterator[Sample]:
    """Yield a sample for each run: in each turn every case, in each case every runner.

    Runners take the lead in turn, so that none always has the warm or the busy machine. Each runs
    once before that: the system reads its program from the disk, and IPython makes its profile.
    ``skipped`` gets the runners that cannot be used here, each with the reason.
    """
    prepared = [(case, *_prepare(case, scratch)) for case in cases]
    everyone = dict.fromkeys(runner for case in cases for runner in case.runners)
    skipped |= {runner.name: reason for runner in everyone if (reason := runner.missing())}
    warm_up = scratch / "warm-up.ipynb"
    expected = notebooks.trivial_cells(warm_up, 1)
    for runner in everyone:
        if runner.name not in skipped:
            run_once(runner, warm_up, expected, job="")
    for turn in range(turns):
        for case, notebook, expected in prepared:
            usable = [runner for runner in case.runners if runner.name not in skipped]
            first = turn % len(usable)
            for runner in usable[first:] + usable[:first]:
                if turn < slow_turns or runner.name not in case.slow:
                    found = run_once(runner, notebook, expected, case.job)
                    yield Sample(case.name, runner.name, turn, *found)


def _prepare(case: Case, scratch: Path) -> tuple[Path, Contents]:
    """Write the notebook of a case; return where it is, and what a run must leave."""
    notebook = scratch / f"{case.name}.ipynb"
    expected = case.build(notebook)
    if case.executed:
        with tempfile.TemporaryDirectory(dir=scratch) as directory:
            _, problem = runners.EXECUTE[0].run(notebook, Path(directory))
            if problem:
                raise RuntimeError(f"{case.name} was not executed: {problem}")
            Path(directory, "out.ipynb").replace(notebook)
    return notebook, expected


def run_once(runner: Runner, notebook: Path, expected: Contents, job: str) -> tuple[Usage, str]:
    """Return what a run took, and how it failed or what it lost."""
    with tempfile.TemporaryDirectory(dir=notebook.parent) as directory:
        usage, problem = runner.run(notebook, Path(directory))
        problems = [problem]
        if not problem and job in {"execute", "both"}:
            problems.append(contents.compare(Path(directory, "out.ipynb"), expected))
        if not problem and job in {"convert", "both"}:
            problems.append(contents.compare(Path(directory, "page.html"), expected.on_page()))
    return usage, "; ".join(filter(None, problems))
