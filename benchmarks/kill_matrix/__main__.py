"""Hurt `stepkit execute-notebook` at random moments, and see what it leaves.

Run ``python -m benchmarks.kill_matrix``; each round is drawn from the seed and its number alone,
so that a bad one can be run again with ``--round``.
"""

import argparse
import dataclasses
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import contents, figures, notebooks, process
from benchmarks.kill_matrix import promises
from benchmarks.kill_matrix.scenarios import SCENARIOS, Round, Scenario
from benchmarks.readers import Reader

_LIMIT_SECONDS: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One round: what was done, how the runner ended, and every promise that it broke.

    ``left_workers`` counts processes of the notebook that outlived a killed runner and
    ``left_files`` what it could not remove: facts, not faults. ``log`` is the end of what a bad
    run logged.
    """

    number: int
    scenario: str
    deed: str
    code: int | None
    seconds_to_end: float | None
    reads: int
    contents: int
    torn_reads: int
    left_workers: int = 0
    left_files: tuple[str, ...] = ()
    next_run: str = ""
    log: str = ""
    problems: tuple[str, ...] = ()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rounds, print the summary; return 1 if any promise was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kill_matrix", description=(__doc__ or "").splitlines()[0]
    )
    add = parser.add_argument
    names = ", ".join(scenario.name for scenario in SCENARIOS)
    add("--rounds", type=int, default=200, help="how many (default 200)")
    add("--seed", default="1", help="what the rounds are drawn from (default 1)")
    add("--round", type=int, help="run this one alone")
    add("--only", action="append", help=f"scenarios: {names}; may be repeated")
    add("--option", action="append", default=[], help="a further option of execute-notebook")
    add("--jobs", type=int, default=1, help="rounds at the same time (default 1)")
    add("--verbose", action="store_true", help="print what bad rounds logged")
    add("--json", type=Path, metavar="FILE", help="write every round here")
    options = parser.parse_args(arguments)
    # A shell lets its background jobs ignore SIGINT, and so would everything that is run here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    scenarios = [s for s in SCENARIOS if not options.only or s.name in options.only]
    for scenario in list(scenarios):
        if reason := scenario.missing():
            print(f"skipped: {scenario.name}: {reason}")
            scenarios.remove(scenario)
    if not scenarios:
        return 1
    numbers = [options.round] if options.round is not None else list(range(options.rounds))
    play_one = partial(play, scenarios=scenarios, seed=options.seed, extra=options.option)
    outcomes = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for outcome in pool.map(play_one, numbers):
            outcomes.append(outcome)
            harm = outcome.deed or "it had ended before"
            found = "; ".join(outcome.problems) or "ok"
            name = f"{outcome.number:4} {outcome.scenario:15}"
            print(f"{name} {harm}: exit code {outcome.code}: {found}", flush=True)
            if options.verbose and outcome.log:
                print(outcome.log)
    print(*_summary(outcomes), sep="\n")
    if options.json:
        rounds = [dataclasses.asdict(outcome) for outcome in outcomes]
        options.json.write_text(json.dumps({"seed": options.seed, "rounds": rounds}, indent=1))
    return int(any(outcome.problems for outcome in outcomes))


def play(
    number: int, *, scenarios: Sequence[Scenario], seed: str, extra: Sequence[str] = ()
) -> Outcome:
    """Play one round; scenarios take turns, all else is drawn."""
    scenario = scenarios[number % len(scenarios)]
    dice = random.Random(f"{seed}:{number}")
    with ExitStack() as cleanup:
        name = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="sk-"))
        now = Round(Path(name), dice=dice, mark=uuid.uuid4().hex, cleanup=cleanup)
        scenario.prepare(now)
        command = scenario.wrap(now, _command(now, extra))
        cleanup.callback(process.kill_marked, now.mark)  # before what was prepared is undone
        with Reader(now.output) as reader:
            code, ended = _run(scenario, now, command)
        problems = [*promises.find_broken(scenario, now, reader, code)]
        took = ended - now.done_at if now.done_at and scenario.orderly else None
        problems += promises.find_late(scenario, code, took)
        running, workers = promises.end_processes(scenario, now)
        files = promises.list_files(now)
        if files and scenario.orderly and code is not None and code >= 0:
            problems.append(f"left {', '.join(files)}")
        after = _run_again(now, extra) if files and not scenario.orderly else ""
        failed_again = [after] if after.startswith("the next run") else []
        log = now.log.read_text(errors="replace") if problems or running else ""
        return Outcome(
            number=number,
            scenario=scenario.name,
            deed=now.deed,
            code=code,
            seconds_to_end=took,
            reads=reader.reads,
            contents=reader.contents,
            torn_reads=reader.torn_reads,
            left_workers=workers,
            left_files=files,
            next_run=after,
            log=log[-6000:],
            problems=(*problems, *running, *failed_again),
        )


def _command(now: Round, extra: Sequence[str]) -> list[str]:
    paths = ["--notebook", now.notebook, "--output", now.output, "--report", now.report]
    often = ["--autosave-cell-every", "1"]  # seconds: checkpoints are what this is about
    return [*process.STEPKIT, "execute-notebook", *map(str, paths), *often, *extra]


def _run(scenario: Scenario, now: Round, command: Sequence[str]) -> tuple[int | None, float]:
    """Run and hurt; return the exit code, None for a run without end, and when it ended."""
    env = process.environment(now.home) | {"TMPDIR": str(now.scratch), "PYTHONFAULTHANDLER": "1"}
    env[process.MARK] = now.mark
    with now.log.open("wb") as log:
        now.child = subprocess.Popen(command, env=env, cwd=now.directory, stdout=log, stderr=log)
    scenario.hurt(now)
    try:
        return now.child.wait(_LIMIT_SECONDS), time.monotonic()
    except subprocess.TimeoutExpired:
        now.child.send_signal(signal.SIGABRT)  # faulthandler says where it stands
        process.wait_until(lambda: not now.is_running(), 3)
        process.kill_marked(now.mark)
        now.child.wait()
    return None, time.monotonic()


def _run_again(now: Round, extra: Sequence[str]) -> str:
    """Say what the next run makes of the files that a killed one left."""

    def beside() -> list[str]:
        return [name for name in promises.list_files(now) if not name.startswith("tmp/")]

    before = beside()
    expected = notebooks.trivial_cells(now.notebook, 2)
    env = process.environment(now.home)
    done = process.run(_command(now, extra), env=env, cwd=now.directory)
    if done.code != 0:
        return f"the next run ended with {done.code}"
    if lost := expected.differs(contents.of_notebook(json.loads(now.output.read_bytes()))):
        return f"the next run wrote {lost}"
    if not before:
        return "there was nothing beside the output"
    after = beside()
    return f"ignored {', '.join(after)}" if after else "removed what was beside the output"


def _summary(outcomes: Sequence[Outcome]) -> list[str]:
    """Return a table of the scenarios, the broken promises, and everything in one last line."""
    head = ("scenario", "rounds", "in time", "exit codes", "slowest end s", "contents read")
    rows = [[*head, "files left", "workers left", "bad rounds"]]
    for name in (scenario.name for scenario in SCENARIOS):
        if mine := [outcome for outcome in outcomes if outcome.scenario == name]:
            codes = Counter(str(outcome.code) for outcome in mine)
            ends = [o.seconds_to_end for o in mine if o.seconds_to_end is not None]
            ended = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
            row = [name, len(mine), sum(bool(o.deed) for o in mine), ended]
            row += [f"{max(ends):.1f}" if ends else "-", sum(o.contents for o in mine)]
            row += [sum(bool(o.left_files) for o in mine), sum(o.left_workers for o in mine)]
            rows.append([str(cell) for cell in (*row, sum(bool(o.problems) for o in mine))])
    problems = Counter(problem for outcome in outcomes for problem in outcome.problems)
    lines = [f"  {count} x {problem}" for problem, count in problems.most_common(20)]
    # Random parts of file names are left out, so that equal things count as equal.
    after = Counter(re.sub(r"[a-z0-9_]{8}(?=\b)", "*", o.next_run) for o in outcomes if o.next_run)
    lines += [f"  the run after a killed one: {count} x {what}" for what, count in after.items()]
    bad = sum(bool(outcome.problems) for outcome in outcomes)
    torn, reads = sum(o.torn_reads for o in outcomes), sum(o.reads for o in outcomes)
    verdict = f"{bad} of {len(outcomes)} rounds broke a promise, {torn} of {reads} reads were torn"
    return ["", *figures.table(rows), "", *lines, verdict]


if __name__ == "__main__":
    sys.exit(main())
