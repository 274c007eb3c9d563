"""Hurt `stepkit execute-notebook` at random moments, and see what it leaves.

Run ``python -m benchmarks.kill_matrix``; each round is drawn from the seed and its number alone,
so that a bad one can be run again with ``--round``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import aftermath, notebooks, processes, runners, table, tally
from benchmarks.aftermath import Outcome
from benchmarks.kills import SCENARIOS, Scenario, Stage
from benchmarks.poller import Poller

if TYPE_CHECKING:
    from collections.abc import Sequence

_LIMIT_SECONDS: Final = 60.0
_ABORT_SECONDS: Final = 3.0
_LOG_CHARACTERS: Final = 6000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rounds, print the summary; return 1 if any promise was broken."""
    options = _parser().parse_args(arguments)
    # A shell lets its background jobs ignore SIGINT, and so would everything that is run here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    scenarios = _usable(options.only)
    if not scenarios:
        return 1
    numbers = [options.round] if options.round is not None else list(range(options.rounds))
    one = partial(play, scenarios=scenarios, seed=options.seed, extra=options.option)
    with ThreadPoolExecutor(options.jobs) as pool:
        outcomes = []
        for outcome in pool.map(one, numbers):
            outcomes.append(outcome)
            print(_line(outcome), flush=True)
            if options.verbose and outcome.log:
                print(outcome.log)
    print(*_summary(outcomes), sep="\n")
    if options.json:
        content = [dataclasses.asdict(outcome) for outcome in outcomes]
        options.json.write_text(json.dumps({"seed": options.seed, "rounds": content}, indent=1))
    return int(any(outcome.problems for outcome in outcomes))


def _parser() -> argparse.ArgumentParser:
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
    return parser


def _usable(only: Sequence[str] | None) -> list[Scenario]:
    usable = []
    for scenario in SCENARIOS:
        if only and scenario.name not in only:
            continue
        if why := scenario.missing():
            print(f"skipped: {scenario.name}: {why}")
        else:
            usable.append(scenario)
    return usable


def play(
    number: int, *, scenarios: Sequence[Scenario], seed: str, extra: Sequence[str] = ()
) -> Outcome:
    """Play one round; scenarios take turns, all else is drawn."""
    scenario = scenarios[number % len(scenarios)]
    dice = random.Random(f"{seed}:{number}")
    with tempfile.TemporaryDirectory(prefix="sk-") as name:
        stage = Stage(directory=Path(name), dice=dice, mark=uuid.uuid4().hex)
        stage.scratch.mkdir()
        stage.output.parent.mkdir()
        stage.home.mkdir()
        try:
            return _play(number, scenario, stage, extra)
        finally:
            processes.kill_marked(stage.mark)
            for undo in reversed(stage.undo):
                undo()


def _play(number: int, scenario: Scenario, stage: Stage, extra: Sequence[str]) -> Outcome:
    scenario.stage(stage)
    command = scenario.command(stage, _command(stage, extra))
    poller = Poller(stage.output).start()
    code, ended = _run(scenario, stage, command)
    poller.stop()
    problems = list(aftermath.judge(scenario, stage, poller, code))
    took = ended - stage.done_at if stage.done_at and scenario.orderly else None
    problems += aftermath.late(scenario, code, took)
    running, workers = aftermath.left_processes(scenario, stage)
    files = aftermath.left_files(stage)
    if files and scenario.orderly and code is not None and code >= 0:
        problems.append(f"left {', '.join(files)}")
    after = _next_run(stage, extra) if files and not scenario.orderly else ""
    log = stage.log.read_text(errors="replace")[-_LOG_CHARACTERS:] if problems or running else ""
    return Outcome(
        number=number,
        scenario=scenario.name,
        deed=stage.deed,
        code=code,
        seconds_to_end=took,
        reads=poller.reads,
        contents=poller.contents,
        left_workers=workers,
        left_files=files,
        next_run=after,
        log=log,
        problems=(*problems, *running, *([after] if after.startswith("the next run") else [])),
    )


def _command(stage: Stage, extra: Sequence[str]) -> list[str]:
    paths = {"--notebook": stage.notebook, "--output": stage.output, "--report": stage.report}
    flags = [text for flag, path in paths.items() for text in (flag, str(path))]
    often = ["--autosave-cell-every", "1"]  # seconds: checkpoints are what this is about
    return [sys.executable, "-P", "-m", "stepkit", "execute-notebook", *flags, *often, *extra]


def _run(scenario: Scenario, stage: Stage, command: Sequence[str]) -> tuple[int | None, float]:
    """Run and hurt; return the exit code, None for a run without end, and when it ended."""
    env = runners.environment(stage.home)
    own = {"TMPDIR": str(stage.scratch), processes.MARK: stage.mark, "PYTHONFAULTHANDLER": "1"}
    with stage.log.open("wb") as log:
        stage.child = subprocess.Popen(
            command, env=env | own, cwd=stage.directory, stdout=log, stderr=log
        )
    hurting = threading.Thread(target=scenario.hurt, args=(stage,), daemon=True)
    hurting.start()
    try:
        code: int | None = stage.child.wait(_LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        code = None
    ended = time.monotonic()
    if code is None:
        stage.child.send_signal(signal.SIGABRT)  # faulthandler says where it stands
        processes.until(lambda: not stage.running(), _ABORT_SECONDS)
        processes.kill_marked(stage.mark)
        stage.child.wait()
    hurting.join()
    return code, ended


def _next_run(stage: Stage, extra: Sequence[str]) -> str:
    """Say what the next run makes of the files that a killed one left."""
    before = _beside(stage)
    expected = notebooks.trivial_cells(stage.notebook, 2)
    env = runners.environment(stage.home) | {processes.MARK: stage.mark}
    command = _command(stage, extra)
    done = subprocess.run(command, env=env, cwd=stage.directory, capture_output=True, check=False)
    if done.returncode:
        return f"the next run ended with {done.returncode}"
    content = json.loads(stage.output.read_bytes())
    if lost := expected.differs(tally.of_notebook(content)):
        return f"the next run wrote {lost}"
    if not before:
        return "there was nothing beside the output"
    after = _beside(stage)
    return f"ignored {', '.join(after)}" if after else "removed what was beside the output"


def _beside(stage: Stage) -> list[str]:
    return [name for name in aftermath.left_files(stage) if not name.startswith("tmp/")]


def _line(outcome: Outcome) -> str:
    what = "; ".join(outcome.problems) or "ok"
    deed = outcome.deed or "it had ended before"
    return f"{outcome.number:4} {outcome.scenario:15} {deed}: exit code {outcome.code}: {what}"


def _summary(outcomes: Sequence[Outcome]) -> list[str]:
    head = ("scenario", "rounds", "in time", "exit codes", "slowest end s", "contents read")
    tail = ("files left", "workers left", "bad rounds")
    rows: list[tuple[str, ...]] = [(*head, *tail)]
    for scenario in SCENARIOS:
        mine = [outcome for outcome in outcomes if outcome.scenario == scenario.name]
        if mine:
            rows.append(_row(scenario.name, mine))
    bad = [outcome for outcome in outcomes if outcome.problems]
    problems = Counter(problem for outcome in bad for problem in outcome.problems)
    counts = [f"  {count} x {problem}" for problem, count in problems.most_common(20)]
    after = Counter(_unnamed(outcome.next_run) for outcome in outcomes if outcome.next_run)
    counts += [f"  the run after a killed one: {count} x {what}" for what, count in after.items()]
    verdict = f"{len(bad)} of {len(outcomes)} rounds broke a promise"
    return ["", *table.lines(rows), "", verdict, *counts]


def _unnamed(text: str) -> str:
    """Leave out random parts of file names, so that equal things count as equal."""
    return re.sub(r"[a-z0-9_]{8}(?=\b)", "*", text)


def _row(name: str, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    codes = Counter(str(outcome.code) for outcome in outcomes)
    ends = [outcome.seconds_to_end for outcome in outcomes if outcome.seconds_to_end is not None]
    return (
        name,
        str(len(outcomes)),
        str(sum(1 for outcome in outcomes if outcome.deed)),
        ", ".join(f"{code}: {count}" for code, count in sorted(codes.items())),
        f"{max(ends):.1f}" if ends else "-",
        str(sum(outcome.contents for outcome in outcomes)),
        str(sum(1 for outcome in outcomes if outcome.left_files)),
        str(sum(outcome.left_workers for outcome in outcomes)),
        str(sum(1 for outcome in outcomes if outcome.problems)),
    )


if __name__ == "__main__":
    sys.exit(main())
