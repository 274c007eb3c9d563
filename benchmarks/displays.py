"""Do all outputs arrive on a machine without a free core? ``python -m benchmarks.displays``."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import measure, notebooks, runners, suite
from benchmarks.runners import Files
from benchmarks.targets import Proof

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.runners import Runner
    from benchmarks.tally import Tally

NAME: Final = "displays-under-load"
_HOGS: Final = 4
_RUNS: Final = {"papermill": 3, "stepkit": 10}


def prove(
    *, count: int = 20_000, runs: dict[str, int] | None = None, say: Callable[[str], None]
) -> list[Proof]:
    """Call ``display`` ``count`` times beside four processes that take all the processor.

    ``runs`` is how often, for each runner.
    """
    runs = _RUNS if runs is None else runs
    proofs = []
    with tempfile.TemporaryDirectory(prefix="stepkit-displays-") as name, _hogs():
        notebook = Path(name, "in.ipynb")
        expected = notebooks.displays(notebook, count)
        for runner in runners.EXECUTE:
            if runs.get(runner.name):
                found = [_run(runner, notebook, expected) for _ in range(runs[runner.name])]
                proofs.append(_proof(runner.name, count, found))
                say(f"{NAME} {runner.name}: {proofs[-1].text}")
    return proofs


def _proof(runner: str, count: int, found: list[str]) -> Proof:
    complete = found.count("")
    lost = [problem for problem in found if problem]
    examples = f" ({'; '.join(dict.fromkeys(lost))})" if lost else ""
    return Proof(
        name=NAME,
        runner=runner,
        text=f"{complete} of {len(found)} runs kept all of {count} outputs{examples}",
        wanted="all of them",
        ok=not lost if runner == "stepkit" else None,
        numbers={"runs": len(found), "complete": complete},
    )


def _run(runner: Runner, notebook: Path, expected: Tally) -> str:
    """Return what a run lost, nothing if it is complete; a failed run has lost its outputs too."""
    with tempfile.TemporaryDirectory(dir=notebook.parent) as name:
        output = Path(name, "out.ipynb")
        files = Files(notebook=notebook, output=output, page=output)
        (command,) = runner.commands(files)
        env = runners.environment(notebook.parent)
        done = measure.run(command, env=env, cwd=output.parent, limit=suite.LIMIT_SECONDS)
        lost = suite.compare(output, expected)
    failed = f"exit code {done.code}" if done.code else ""
    return ", ".join(part for part in (failed, lost) if part)


@contextmanager
def _hogs() -> Iterator[None]:
    command = [sys.executable, "-c", "while True: pass"]
    hogs = [subprocess.Popen(command) for _ in range(_HOGS)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def main() -> int:
    """Run the proof alone."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.displays", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="display() calls (default 20000)")
    for runner, times in _RUNS.items():
        text = f"runs of {runner} (default {times})"
        parser.add_argument(f"--{runner}", type=int, default=times, help=text)
    options = parser.parse_args()
    runs = {runner: getattr(options, runner) for runner in _RUNS}
    found = prove(count=options.count, runs=runs, say=print)
    return int(any(proof.ok is False for proof in found))


if __name__ == "__main__":
    sys.exit(main())
