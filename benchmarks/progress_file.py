"""What does NAME.progress.json cost a run? ``python -m benchmarks.progress_file``.

A thread of stepkit's process writes it. Its CPU time, without that of collecting garbage, is
compared with the time that the notebook took: for many quick cells, for one long cell that prints,
and for one that only computes.
"""

import argparse
import gc
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import nbformat

from benchmarks import figures, process
from benchmarks.figures import Proof

_BUDGET: Final = 0.5  # percent of one core
_KERNEL: Final = {"name": "python3", "display_name": "Python 3", "language": "python"}


def _sources(seconds: float) -> dict[str, Sequence[str]]:
    loop = f"import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end:"
    return {
        "800 quick cells": [f"x = {number}" for number in range(800)],
        "a long cell that prints": [f"{loop}\n    print('x' * 80, flush=True); time.sleep(0.001)"],
        "a long cell that computes": [f"{loop} pass"],
    }


def _measure(sources: Sequence[str]) -> tuple[float, float, int]:
    """Return the CPU seconds of the thread, the seconds of the run, and the bytes of the file."""
    from stepkit.notebook import progress_json
    from stepkit.steps import execute_notebook

    cost: defaultdict[str, float] = defaultdict(float)
    work = threading.Thread.run

    def timed(thread: threading.Thread) -> None:
        try:
            work(thread)
        finally:
            cost[thread.name] += time.thread_time()

    def leave_out(phase: str, _: object) -> None:
        """Garbage of the whole process is collected by the thread that happens to allocate."""
        sign = 1 if phase == "start" else -1
        cost[threading.current_thread().name] += sign * time.thread_time()

    gc.callbacks.append(leave_out)
    setattr(threading.Thread, "run", timed)  # noqa: B010 - mypy takes methods for constants
    with tempfile.TemporaryDirectory(prefix="stepkit-progress-") as directory:
        notebook = nbformat.v4.new_notebook(metadata={"kernelspec": _KERNEL})
        notebook.cells = [nbformat.v4.new_code_cell(source) for source in sources]
        path = Path(directory, "a.ipynb")
        nbformat.write(notebook, path)
        output = Path(directory, "out/a.ipynb")
        execute_notebook.run(execute_notebook.Options(notebook=path, output=output))
        file = progress_json.beside(output)
        return cost["progress"], progress_json.load(file)["seconds"], file.stat().st_size


def prove(*, seconds: float) -> Iterator[Proof]:
    """Measure each notebook in a new process."""
    for name, sources in _sources(seconds).items():
        with process.new() as pool:
            cost, took, size = pool.submit(_measure, sources).result()
        share = 100 * cost / took
        text = f"{share:.3f} % of a core ({1000 * cost:.0f} ms in {took:.1f} s; {size} bytes)"
        yield Proof("progress-file", name, text, ok=share <= _BUDGET)


def main() -> int:
    """Run the proof."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.progress_file", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of a long cell (default 60)")
    return figures.print_proofs(prove(seconds=parser.parse_args().seconds))


if __name__ == "__main__":
    sys.exit(main())
