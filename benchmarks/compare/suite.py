"""Run every case with every runner, in turn, and check what each run left."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import contents, notebooks
from benchmarks.compare import runners
from benchmarks.process import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.compare.cases import Case
    from benchmarks.compare.runners import Runner
    from benchmarks.contents import Contents


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One run of one runner on one case; ``problem`` says what it lost, or how it failed."""

    case: str
    runner: str
    turn: int
    usage: Usage
    problem: str = ""


class Suite:
    """The runs of a list of cases in a scratch directory."""

    def __init__(self, cases: Sequence[Case], scratch: Path) -> None:
        self._scratch = scratch
        self._prepared = [(case, *self._prepare(case)) for case in cases]
        self.skipped: dict[str, str] = {}

    def run(self, turns: int, slow_turns: int) -> Iterator[Sample]:
        """Yield a sample for each run: in each turn every case, in each case every runner.

        Runners take the lead in turn, so that none always has the warm or the busy machine. Each
        runs once before that: the system reads its program from the disk, and IPython makes its
        profile.
        """
        warm_up = self._scratch / "warm-up.ipynb"
        notebooks.trivial_cells(warm_up, 1)
        for runner in dict.fromkeys(r for case, *_ in self._prepared for r in self._usable(case)):
            with tempfile.TemporaryDirectory(dir=self._scratch) as directory:
                runner.run(warm_up, Path(directory))
        for turn in range(turns):
            for case, notebook, expected in self._prepared:
                usable = self._usable(case)
                first = turn % len(usable)
                for runner in usable[first:] + usable[:first]:
                    if turn < slow_turns or runner.name not in case.slow:
                        yield self._sample(case, notebook, expected, runner, turn=turn)

    def _usable(self, case: Case) -> list[Runner]:
        self.skipped |= {r.name: reason for r in case.runners if (reason := r.missing())}
        return [runner for runner in case.runners if runner.name not in self.skipped]

    def _prepare(self, case: Case) -> tuple[Path, Contents]:
        """Write the notebook of a case; return where it is, and what a run must leave."""
        notebook = self._scratch / f"{case.name}.ipynb"
        expected = case.build(notebook)
        if case.executed:
            with tempfile.TemporaryDirectory(dir=self._scratch) as directory:
                _, problem = runners.EXECUTE[0].run(notebook, Path(directory))
                if problem:
                    raise RuntimeError(f"{case.name} was not executed: {problem}")
                Path(directory, "out.ipynb").replace(notebook)
        return notebook, expected

    def _sample(
        self, case: Case, notebook: Path, expected: Contents, runner: Runner, *, turn: int
    ) -> Sample:
        with tempfile.TemporaryDirectory(dir=self._scratch) as directory:
            usage, problem = runner.run(notebook, Path(directory))
            problems = [problem] if problem else []
            if not problem and case.job in {"execute", "both"}:
                problems.append(contents.compare(Path(directory, "out.ipynb"), expected))
            if not problem and case.job in {"convert", "both"}:
                problems.append(contents.compare(Path(directory, "page.html"), expected.on_page()))
        problem = "; ".join(filter(None, problems))
        return Sample(case=case.name, runner=runner.name, turn=turn, usage=usage, problem=problem)
