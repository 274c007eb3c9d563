"""Many runs at once on one volume: workspace, cache and destination, of four users.

Each run makes its directory, clones, downloads the same dataset, executes a notebook, and publishes
with the index of all runs. Every eighth notebook raises.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import git_server
import users
from data_server import serving

from benchmarks import notebooks
from benchmarks.load.measured import Measured, left_behind

_USERS: Final = 4
_FAILS: Final = 8  # one of so many
_DATA: Final = b"census\n" * 200_000


@dataclass
class _Run:
    """One run: its number, where everything is, and what went wrong."""

    number: int
    volume: Path
    data: str
    git: str
    problems: list[str] = field(default_factory=list)
    cpu: float = 0.0
    memory: int = 0

    @property
    def name(self) -> str:
        return f"run-{self.number:03}"

    @property
    def fails(self) -> bool:
        return self.number % _FAILS == 0

    def play(self) -> None:
        own = self.volume / "work" / self.name
        out, reports = own / "out", own / "out" / "reports"
        self._do("prepare-workspace", "--directory", own, "--directories", "out", "out/reports")
        source = ("--url", f"{self.git}/origin/.git", "--destination", own / "source")
        self._do("git-clone", *source, "--report", reports / "git-clone.json")
        source = ("--url", f"{self.data}/census.bin", "--directory", own / "data")
        cache = ("--cache", self.volume / "cache", "--report", reports / "download-dataset.json")
        self._do("download-dataset", *source, *cache)
        notebook = own / "source" / ("fails.ipynb" if self.fails else "passes.ipynb")
        paths = ("--notebook", notebook, "--output", out / "out.ipynb")
        report = ("--report", reports / "execute-notebook.json")
        self._do("execute-notebook", *paths, *report, code=3 if self.fails else 0)
        report = ("--report", reports / "collect-artifacts.json")
        self._do("collect-artifacts", "--artifacts", out, *report)
        steps = ("git-clone", "download-dataset", "execute-notebook", "collect-artifacts")
        summary = ("--summary", out / "STEP_SUMMARY.md", "--expect", *steps)
        self._do("summarize", "--reports", reports, *summary)
        to = ("--destination", self.volume / "published", "--prefix", self.name, "--index", "true")
        self._do("publish-artifacts", "--artifacts", out, *to)
        if (own / "data" / "census.bin").read_bytes() != _DATA:
            self.problems.append(f"{self.name} has another dataset")

    def _do(self, step: str, *args: str | Path, code: int = 0) -> None:
        process = _process(self.number)
        command = [*process.pop("command"), step, *map(str, args)]
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **process
        )
        assert child.stdout
        with child.stdout as printed:
            last = printed.read()[-400:]
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        self.cpu += used.ru_utime + used.ru_stime
        self.memory = max(self.memory, used.ru_maxrss * 1024)
        if child.returncode != code:
            self.problems.append(f"{self.name}: {step} ended with {child.returncode}: {last}")


def play(scratch: Path, size: int) -> Iterator[Measured]:
    """Play ``size`` runs at once."""
    for name in ("work", "cache", "published"):
        (scratch / name).mkdir()
    for path in (scratch, *scratch.iterdir()):
        path.chmod(0o2775)
    _make_origin(scratch / "origin")
    began = time.perf_counter()
    with serving(_DATA) as data, git_server.serving(git_server.GitServer(scratch)) as git:
        runs = [_Run(number, scratch, data.url, git.url) for number in range(size)]
        with ThreadPoolExecutor(size) as pool:
            list(pool.map(_Run.play, runs))
    problems = [problem for run in runs for problem in run.problems]
    yield Measured(
        what="runs of seven steps",
        size=size,
        seconds=time.perf_counter() - began,
        cpu=sum(run.cpu for run in runs),
        memory=max(run.memory for run in runs),
        problems=(*problems, *_wrong(scratch, runs), *left_behind(scratch)),
    )


def _process(number: int) -> dict[str, Any]:
    """Return a process of one of the users; without privileges to become one, of this user."""
    if users.python():
        return users.process_as(users.RANDOM + number % _USERS)
    return {"command": [sys.executable, "-P", "-m", "stepkit"]}


def _make_origin(path: Path) -> None:
    path.mkdir()
    notebooks.trivial_cells(path / "passes.ipynb", 1)
    text = (path / "passes.ipynb").read_text()
    (path / "fails.ipynb").write_text(text.replace("print(0)", "raise ValueError(0)"))
    identity = ("-c", "user.name=load", "-c", "user.email=load@example.org")
    for args in (("init", "-q"), ("add", "."), (*identity, "commit", "-q", "-m", "Notebooks")):
        subprocess.run(["git", *args], cwd=path, check=True)


def _wrong(volume: Path, runs: list[_Run]) -> Iterator[str]:
    """Name each run that the index lacks or judges wrongly, and what the cache has too much."""
    index = json.loads((volume / "published" / "runs.json").read_bytes())
    verdicts = {row["path"].split("/")[0]: row["verdict"] for row in index["runs"]}
    for run in runs:
        truth = "failed" if run.fails else "passed"
        if verdicts.pop(run.name, "missing") != truth:
            yield f"{run.name} is not {truth} in the index"
    yield from (f"{name} is in the index, too" for name in verdicts)
    datasets = [path for path in (volume / "cache").iterdir() if path.stat().st_size == len(_DATA)]
    if len(datasets) != 1:
        yield f"the cache has the dataset {len(datasets)} times"
