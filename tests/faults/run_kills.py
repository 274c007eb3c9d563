"""Kill or fail each step at the calls by which it changes files, and at random moments.

Run ``python -m tests.faults.run_kills`` for all points, which takes an hour; ``--points 20`` tries
as many of each scenario.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))  # where the servers are

from faults import kill_table, stopped_calls
from faults.kill_points import MODES, Bench, Known, Outcome
from faults.kill_scenarios import SCENARIOS, World

from benchmarks import figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the rounds, print a table, and return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.run_kills", description=(__doc__ or "").splitlines()[0]
    )
    add = parser.add_argument
    add("--only", action="append", help="a step or STEP/SCENARIO; may be repeated")
    add("--mode", action="append", choices=MODES, help="may be repeated (default: all)")
    add("--points", type=int, default=0, help="points of each scenario and mode (default: all)")
    add("--rounds", type=int, default=72, help="random rounds of each scenario (default: 72)")
    add("--seed", default="1", help="what random rounds are drawn from (default: 1)")
    add("--at", type=int, help="this point alone")
    add("--json", type=Path, metavar="FILE", help="add all rounds to this file, one a line")
    add("--record", type=Path, metavar="FILE", help="count those of FILE for docs/faults.md")
    options = parser.parse_args(arguments)
    if reason := stopped_calls.missing():
        print(f"not run: {reason}")  # noqa: T201
        return 1
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="sk-") as name:
        world = World(Path(name))
        with world.closing:
            for scenario in SCENARIOS:
                bench = Bench(scenario, world)
                if options.only and not {scenario.step, bench.name} & set(options.only):
                    continue
                known = bench.know()
                print(f"{bench.name}: {known.calls} points, {known.seconds:.1f} s", flush=True)  # noqa: T201
                for mode in options.mode or MODES:
                    if mode == "look":
                        played: Iterable[Outcome] = bench.look(known)
                    else:
                        points = _points(options, known, mode, bench.name)
                        played = (bench.play(known, mode, point) for point in points)
                    for outcome in played:
                        outcomes.append(outcome)
                        _report(outcome, options.json)
    rows = kill_table.table(map(dataclasses.asdict, outcomes))
    print(*figures.table(rows), sep="\n")  # noqa: T201
    if options.record:
        kill_table.write(options.record)
    return int(any(outcome.bad for outcome in outcomes))


def _points(options: argparse.Namespace, known: Known, mode: str, name: str) -> Sequence[float]:
    if mode == "random":
        dice = random.Random(f"{options.seed}:{name}")
        return [dice.uniform(0.02, known.seconds) for _ in range(options.rounds)]
    if options.at:
        return [options.at]
    return range(1, known.calls + 1, -(-known.calls // (options.points or known.calls)))


def _report(outcome: Outcome, file: Path | None) -> None:
    last = dataclasses.asdict(outcome)
    if outcome.bad:
        print(json.dumps({**last, "log": ""}), flush=True)  # noqa: T201
    if file:
        with file.open("a") as lines:
            lines.write(json.dumps(last) + "\n")


if __name__ == "__main__":
    sys.exit(main())
