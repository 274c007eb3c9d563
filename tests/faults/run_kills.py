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
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # where the servers are

from faults import stopped_calls
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
    add("--json", type=Path, metavar="FILE", help="write all rounds here")
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
                    for point in _points(options, known, mode, bench.name):
                        outcomes.append(bench.play(known, mode, point))
                        _report(outcomes, options.json)
    print(*figures.table(_rows(summary(map(dataclasses.asdict, outcomes)))), sep="\n")  # noqa: T201
    return int(any(outcome.bad for outcome in outcomes))


def _points(options: argparse.Namespace, known: Known, mode: str, name: str) -> Sequence[float]:
    if mode == "random":
        dice = random.Random(f"{options.seed}:{name}")
        return [dice.uniform(0.02, known.seconds) for _ in range(options.rounds)]
    if options.at:
        return [options.at]
    return range(1, known.calls + 1, -(-known.calls // (options.points or known.calls)))


def _report(outcomes: Sequence[Outcome], file: Path | None) -> None:
    last = dataclasses.asdict(outcomes[-1])
    if outcomes[-1].bad:
        print(json.dumps({**last, "log": ""}), flush=True)  # noqa: T201
    if file:
        with file.open("a") as lines:
            lines.write(json.dumps(last) + "\n")


def summary(rounds: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Count the rounds, as :func:`dataclasses.asdict` of outcomes, by scenario and mode."""
    counted: dict[tuple[str, str], dict[str, Any]] = {}
    for one in rounds:
        zero = dict.fromkeys(("rounds", "torn", "lost", "hung", "wrong", "next run", "left"), 0)
        key = one["scenario"], one["mode"]
        row = counted.setdefault(key, {"scenario": key[0], "mode": key[1], **zero})
        row["rounds"] += 1
        for name in ("torn", "lost", "hung", "wrong", "left"):
            row[name] += bool(one[name])
        row["next run"] += bool(one["next_run"])
    return list(counted.values())


def _rows(counted: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [list(counted[0]), *([str(value) for value in row.values()] for row in counted)]


if __name__ == "__main__":
    sys.exit(main())
