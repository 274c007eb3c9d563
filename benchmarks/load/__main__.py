"""What does stepkit bear, and at what cost? Run ``python -m benchmarks.load``.

Each scenario is played at a quarter of its size and at the whole. The exponent says how the CPU
seconds of stepkit's own processes grow with the size: 1 is linear. The exit code is 1 if anything
was lost, left behind or judged wrongly, or if the time of a scenario of full size is not linear.
"""

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))  # where servers and users are

from benchmarks import figures
from benchmarks.load import (
    large_dataset,
    large_notebooks,
    many_artifacts,
    many_notebooks,
    many_runs,
)
from benchmarks.load.measured import Measured, exponent

RECORD: Final = Path(__file__).parents[1] / "results" / "load.json"
_LINEAR: Final = 1.25  # the largest exponent of what counts as linear, noise included


@dataclass(frozen=True)
class Scenario:
    """What is played, at which size, in which ``unit``."""

    size: int
    unit: str
    play: Callable[[Path, int], Iterator[Measured]]


SCENARIOS: Final = {
    "runs": Scenario(64, "runs at once", many_runs.play),
    "notebooks": Scenario(500, "notebooks", many_notebooks.play),
    "artifacts": Scenario(100_000, "artifacts", many_artifacts.play),
    "dataset": Scenario(10_000, "MB of dataset", large_dataset.play),
    "cells": Scenario(20_000, "cells", large_notebooks.cells),
    "output": Scenario(1_000, "MB of output", large_notebooks.output),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Play, print the table, and return 1 if something does not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load", description=(__doc__ or "").splitlines()[0]
    )
    add = parser.add_argument
    add("--only", action="append", choices=list(SCENARIOS), help="may be repeated (default: all)")
    add("--scale", type=float, default=1.0, help="part of the full size (default 1)")
    add("--directory", type=Path, help="where there is room for 25 GB (default: as for tempfile)")
    add("--record", type=Path, metavar="FILE", help=f"default for a scale of 1: {RECORD.name}")
    add("--show", action="store_true", help="print the record, and play nothing")
    options = parser.parse_args(arguments)
    if options.show:
        print(*table(json.loads((options.record or RECORD).read_bytes())["scenarios"]), sep="\n")
        return 0
    record = options.record or (RECORD if options.scale == 1 else None)
    played: dict[str, Any] = {}
    for name in options.only or SCENARIOS:
        played[name] = []
        for one in play(name, options.scale, options.directory):
            played[name].append(dataclasses.asdict(one))
            if record:
                _add_to(record, name, played[name])
    print(*table(played), sep="\n")
    problems = [text for rows in played.values() for row in rows for text in row["problems"]]
    if options.scale >= 1:
        problems += bent(played)
    print(*problems, sep="\n")
    print(f"{len(problems)} problems")
    return int(bool(problems))


def play(name: str, scale: float, directory: Path | None = None) -> Iterator[Measured]:
    """Play one scenario at a quarter of its scaled size and at the whole."""
    scenario = SCENARIOS[name]
    whole = max(4, round(scenario.size * scale))
    for size in (whole // 4, whole):
        with tempfile.TemporaryDirectory(prefix="stepkit-load-", dir=directory) as scratch:
            for one in scenario.play(Path(scratch), size):
                text = f"{name}: {one.what} at {size} {scenario.unit}: {one.seconds:.1f} s"
                figures.show_progress("; ".join([text, *one.problems[:5]]))
                yield one


def table(played: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield "| what | sizes | wall s | CPU s | exponent | MiB | problems |"
    yield "|---|---|---|---|---|---|---|"
    for name, rows in played.items():
        for what in dict.fromkeys(row["what"] for row in rows):
            mine = [row for row in rows if row["what"] == what]
            columns = [
                what,
                " / ".join(f"{row['size']:,}" for row in mine) + f" {SCENARIOS[name].unit}",
                " / ".join(f"{row['seconds']:.1f}" for row in mine),
                " / ".join(f"{row['cpu']:.1f}" for row in mine),
                "-" if (grown := _grows(mine)) is None else f"{grown:.2f}",
                " / ".join(f"{row['memory'] / 2**20:.0f}" for row in mine),
                str(sum(len(row["problems"]) for row in mine)),
            ]
            yield f"| {' | '.join(columns)} |"


def bent(played: dict[str, Any]) -> Iterator[str]:
    """Name each command whose time grows faster than its size."""
    for rows in played.values():
        for what in dict.fromkeys(row["what"] for row in rows):
            grown = _grows([row for row in rows if row["what"] == what])
            if grown and grown > _LINEAR:
                yield f"{what} takes time by the size to the power of {grown:.2f}"


def _grows(rows: Sequence[dict[str, Any]]) -> float | None:
    return exponent({row["size"]: row["cpu"] for row in rows})


def _add_to(path: Path, name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Replace the figures of one scenario in a record."""
    content: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {"scenarios": {}}
    kind = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    content["schema"], content["machine"] = "stepkit.load/1", kind
    content["date"] = f"{datetime.now(UTC):%Y-%m-%d}"
    content["scenarios"][name] = rows
    figures.write_json(path, content)


if __name__ == "__main__":
    sys.exit(main())
