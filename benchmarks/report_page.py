"""How large is report.html, and how long does it take? ``python -m benchmarks.report_page RUN``.

RUN is a directory with run.json and the timelines that it names. ``--cells N`` and ``--rows N``
repeat the cells and the samples of its first notebook until there are so many, so that a short run
stands for a long one.
"""

import argparse
import copy
import gzip
import statistics
import time
from pathlib import Path
from typing import Any, Final

from stepkit.report.load_run import find_record, load_run
from stepkit.report.page import report_page, timeline_file
from stepkit.report.run_json import RunJson

_TURNS: Final = 10


def main() -> None:
    """Render the page in a process that has not rendered one, then again, and print the figures."""
    parser = argparse.ArgumentParser(prog="benchmarks.report_page", description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--cells", type=int, default=0)
    parser.add_argument("--rows", type=int, default=0)
    arguments = parser.parse_args()
    record = load_run(arguments.run)
    _repeat_cells(record, arguments.cells)
    read = timeline_file.beside(find_record(arguments.run).parent)
    timelines = {
        path: _repeat_rows(timeline, arguments.rows)
        for notebook in record["notebooks"]
        if (path := notebook["timeline"]) and (timeline := read(path))
    }
    seconds = []
    for _ in range(_TURNS):
        began = time.perf_counter()
        page = report_page.render(record, timelines.get)
        seconds.append(time.perf_counter() - began)
    text = page.encode()
    print(f"{len(text) / 1000:.0f} kB, {len(gzip.compress(text)) / 1000:.0f} kB packed")
    print(f"first {seconds[0]:.3f} s, then {statistics.median(seconds[1:]):.3f} s")


def _repeat_cells(record: RunJson, count: int) -> None:
    notebook = record["notebooks"][0]
    cells, length = notebook["cells"], notebook["duration_ms"] or 0
    if not cells:
        return
    for number in range(len(cells), count):
        cell = copy.deepcopy(cells[number % len(cells)])
        cell["number"] = cell["index"] = number + 1
        if cell["start_ms"] is not None:
            cell["start_ms"] += length
        cells.append(cell)


def _repeat_rows(timeline: dict[str, Any], count: int) -> dict[str, Any]:
    seconds = timeline["seconds"]
    turns = -(-count // (len(seconds) or 1))
    if turns < 2:  # noqa: PLR2004
        return timeline
    length = seconds[-1] - seconds[0] + timeline["interval"]
    columns = {name: (column * turns)[:count] for name, column in timeline["columns"].items()}
    repeated = [second + turn * length for turn in range(turns) for second in seconds][:count]
    return {**timeline, "seconds": repeated, "columns": columns}


if __name__ == "__main__":
    main()
