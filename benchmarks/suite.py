"""Run every case with every runner, in turn, and check what each run left."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import measure, notebooks, runners
from benchmarks.cases import Case
from benchmarks.measure import Usage
from benchmarks.runners import Files
from benchmarks.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.runners import Runner

LIMIT_SECONDS: Final = 600.0
_LAST_WORDS: Final = 200  # characters of what a failed command printed


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One run of one runner on one case; ``problem`` says what it lost, or how it failed."""

    case: str
    runner: str
    turn: int
    usage: Usage
    problem: str = ""


@dataclass(frozen=True)
class Prepared:
    """A case whose notebook is written: where, and what a run must leave."""

    case: Case
    notebook: Path
    expected: Tally


class Suite:
    """The runs of a list of cases in a scratch directory."""

    def __init__(self, cases: Sequence[Case], scratch: Path) -> None:
        self._scratch = scratch
        self._env = runners.environment(scratch)
        self._prepared = [self._prepare(case) for case in cases]
        self.skipped: dict[str, str] = {}

    def run(self, turns: int, slow_turns: int) -> Iterator[Sample]:
        """Yield a sample for each run: in each turn every case, in each case every runner.

        Runners take the lead in turn, so that none always has the warm or the busy machine.
        """
        self._warm_up()
        for turn in range(turns):
            for prepared in self._prepared:
                for runner in self._in_turn(prepared.case, turn):
                    if turn < slow_turns or runner.name not in prepared.case.slow:
                        yield self._sample(prepared, runner, turn)

    def _in_turn(self, case: Case, turn: int) -> list[Runner]:
        usable = []
        for runner in case.runners:
            if why := runner.missing():
                self.skipped[runner.name] = why
            else:
                usable.append(runner)
        first = turn % len(usable)
        return usable[first:] + usable[:first]

    def _prepare(self, case: Case) -> Prepared:
        notebook = self._scratch / f"{case.name}.ipynb"
        expected = case.build(notebook)
        if case.executed:
            executed = notebook.with_name(f"{case.name}.executed.ipynb")
            self._execute(notebook, executed)
            notebook = executed
        return Prepared(case, notebook, expected)

    def _execute(self, notebook: Path, executed: Path) -> None:
        (command,) = runners.EXECUTE[0].commands(
            Files(notebook=notebook, output=executed, page=executed)
        )
        subprocess.run(
            command, check=True, env=self._env, cwd=self._scratch, stderr=subprocess.DEVNULL
        )

    def _warm_up(self) -> None:
        """Let the system read every program from the disk once, and IPython make its profile."""
        notebook = self._scratch / "warm-up.ipynb"
        notebooks.trivial_cells(notebook, 1)
        everyone = [runner for p in self._prepared for runner in p.case.runners]
        for runner in dict.fromkeys(runner for runner in everyone if not runner.missing()):
            with self._files(notebook) as files:
                self._run(runner, files)

    def _sample(self, prepared: Prepared, runner: Runner, turn: int) -> Sample:
        with self._files(prepared.notebook) as files:
            usage, problem = self._run(runner, files)
            problem = problem or self._check(prepared, files)
        return Sample(
            case=prepared.case.name, runner=runner.name, turn=turn, usage=usage, problem=problem
        )

    @contextmanager
    def _files(self, notebook: Path) -> Iterator[Files]:
        """Yield a directory for one run, gone afterwards."""
        with tempfile.TemporaryDirectory(dir=self._scratch, prefix="run-") as name:
            where = Path(name)
            yield Files(notebook=notebook, output=where / "out.ipynb", page=where / "page.html")

    def _run(self, runner: Runner, files: Files) -> tuple[Usage, str]:
        parts, problem = [], ""
        for command in runner.commands(files):
            done = measure.run(command, env=self._env, cwd=files.output.parent, limit=LIMIT_SECONDS)
            parts.append(done.usage)
            if done.code is None:
                problem = f"still ran after {LIMIT_SECONDS:g} s"
            elif done.code:
                problem = f"exit code {done.code}: {_last_words(done.output)}"
            if problem:
                break
        return measure.together(parts), problem

    def _check(self, prepared: Prepared, files: Files) -> str:
        job = prepared.case.job
        problems = []
        if job in {"execute", "both"}:
            problems.append(compare(files.output, prepared.expected))
        if job in {"convert", "both"}:
            problems.append(compare(files.page, prepared.expected.on_page()))
        return "; ".join(problem for problem in problems if problem)


def compare(path: Path, expected: Tally) -> str:
    """Say what the file ``path`` lacks, nothing if it is as ``expected``.

    It is counted in another process, so that ours stays small beside what it measures.
    """
    if not path.is_file():
        return f"no {path.name} was written"
    command = [sys.executable, "-m", "benchmarks.tally", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=runners.ROOT)
    if done.returncode:
        return f"{path.name} cannot be read: {_last_words(done.stderr)}"
    return expected.differs(Tally(**json.loads(done.stdout)))


def _last_words(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-1][-_LAST_WORDS:] if lines else "it said nothing"
