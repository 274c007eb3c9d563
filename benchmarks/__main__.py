"""Measure stepkit beside papermill, nbclient, nbconvert and the bare kernel."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import cases, displays, readers, record, table, targets
from benchmarks.suite import Suite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.cases import Case
    from benchmarks.record import Record
    from benchmarks.suite import Sample
    from benchmarks.targets import Proof

RESULTS: Final = Path(__file__).parent / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; return 1 if ``--check`` finds a target missed or a run spoilt."""
    options = _parser().parse_args(arguments)
    if options.compare:
        print(*table.of_record(record.read(options.compare)), sep="\n")
        return 0
    chosen = [case for case in _cases(options) if _wanted(case.name, options)]
    found = _measure(chosen, options)
    print(*table.of_record(found), sep="\n")
    if options.json or not options.quick:
        path = options.json or RESULTS / f"{found.date}-{found.machine['kind']}.json"
        found.write(path)
        print(f"\nwrote {path}")
    return _code(found) if options.check else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, help="turns of every runner (default 5, with --quick 1)")
    add("--slow-rounds", type=int, default=1, help="turns of runs that take minutes (default 1)")
    add("--only", action="append", help="cases and proofs by name, * allowed; may be repeated")
    add("--quick", action="store_true", help="small notebooks, one turn, about a minute")
    add("--check", action="store_true", help="exit 1 when a target is missed or a run lost output")
    add("--json", type=Path, metavar="FILE", help="where to write the record")
    add("--compare", type=Path, metavar="FILE", help="only print the tables of an older record")
    return parser


def _cases(options: argparse.Namespace) -> Sequence[Case]:
    return cases.QUICK if options.quick else cases.FULL


def _wanted(name: str, options: argparse.Namespace) -> bool:
    return not options.only or any(fnmatch(name, pattern) for pattern in options.only)


def _measure(chosen: Sequence[Case], options: argparse.Namespace) -> Record:
    before = os.getloadavg()[0]
    samples, skipped = _samples(chosen, options)
    proofs = _proofs(options)
    return record.Record(
        date=record.today(),
        machine=record.machine(),
        versions=record.versions(),
        load=(before, os.getloadavg()[0]),
        cases={case.name: record.about(case) for case in chosen},
        samples=samples,
        skipped=skipped,
        proofs=proofs,
        targets=targets.judge(samples, proofs),
    )


def _samples(
    chosen: Sequence[Case], options: argparse.Namespace
) -> tuple[list[Sample], dict[str, str]]:
    samples = []
    turns = options.rounds or (1 if options.quick else 5)
    with tempfile.TemporaryDirectory(prefix="stepkit-benchmarks-") as scratch:
        suite = Suite(chosen, Path(scratch))
        for sample in suite.run(turns, options.slow_rounds):
            samples.append(sample)
            note = f": {sample.problem}" if sample.problem else ""
            _say(f"{sample.turn + 1} {sample.case} {sample.runner} {sample.usage.wall:.2f} s{note}")
    return samples, suite.skipped


def _proofs(options: argparse.Namespace) -> list[Proof]:
    proofs: list[Proof] = []
    if not options.quick and _wanted(readers.NAME, options):
        proofs += readers.prove(say=_say)
    if not options.quick and _wanted(displays.NAME, options):
        proofs += displays.prove(say=_say)
    return proofs


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _code(found: Record) -> int:
    missed = any(result.verdict == "not reached" for result in found.targets)
    spoilt = any(sample.problem for sample in found.samples if "stepkit" in sample.runner)
    return int(missed or spoilt)


if __name__ == "__main__":
    sys.exit(main())
