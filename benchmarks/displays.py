"""Do all outputs arrive on a machine without a free core? ``python -m benchmarks.displays``."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks import figures, notebooks
from benchmarks.compare import runners, suite
from benchmarks.figures import Proof

NAME: Final = "displays-under-load"
COUNT: Final = 20_000
_HOGS: Final = 4
_RUNS: Final = {"papermill": 3, "stepkit": 10}


def prove(*, count: int = COUNT, runs: Mapping[str, int] = _RUNS) -> Iterator[Proof]:
    """Call ``display`` ``count`` times beside four processes that take all the processor.

    ``runs`` is how often, for each runner.
    """
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="stepkit-displays-"))
        for _ in range(_HOGS):
            hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(hog.wait)
            stack.callback(hog.kill)
        notebook = Path(scratch, "in.ipynb")
        expected = notebooks.displays(notebook, count)
        for runner in runners.EXECUTE:
            if times := runs.get(runner.name):
                found = [
                    suite.run_once(runner, notebook, expected, "execute")[1] for _ in range(times)
                ]
                complete, lost = found.count(""), dict.fromkeys(filter(None, found))
                examples = f" ({'; '.join(lost)})" if lost else ""
                text = f"{complete} of {times} runs kept all of {count} outputs{examples}"
                ok = not lost if runner.name == "stepkit" else None
                numbers = {"runs": times, "complete": complete}
                yield Proof(NAME, runner.name, text, "all of them", ok, numbers)


def main() -> int:
    """Run the proof alone."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.displays", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="display() calls (default 20000)")
    for runner, times in _RUNS.items():
        text = f"runs of {runner} (default {times})"
        parser.add_argument(f"--{runner}", type=int, default=times, help=text)
    options = parser.parse_args()
    runs = {runner: getattr(options, runner) for runner in _RUNS}
    return figures.print_proofs(prove(count=options.count, runs=runs))


if __name__ == "__main__":
    sys.exit(main())
