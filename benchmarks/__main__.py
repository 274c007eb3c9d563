"""Measure stepkit beside papermill, nbclient, nbconvert and the bare kernel."""

import argparse
import itertools
import os
import sys
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # where servers are

from benchmarks import displays, readers
from benchmarks.compare import cases, peers, record, report
from benchmarks.compare.record import Record
from benchmarks.figures import Proof, show_progress

RESULTS: Final = Path(__file__).parent / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; return 1 if ``--check`` finds a target missed or a run spoilt."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, help="turns of every runner (default 5, with --quick 1)")
    add("--slow-rounds", type=int, default=1, help="turns of runs that take minutes (default 1)")
    add("--only", action="append", help="cases and proofs by name, * allowed; may be repeated")
    add("--quick", action="store_true", help="small notebooks, one turn, about a minute")
    add("--check", action="store_true", help="exit 1 when a target is missed or a run lost output")
    add("--json", type=Path, metavar="FILE", help="where to write the record")
    add("--compare", type=Path, metavar="FILE", help="only print the tables of an older record")
    options = parser.parse_args(arguments)
    if options.compare:
        print(*report.lines(record.read(options.compare)), sep="\n")
        return 0
    found = _measure(options)
    print(*report.lines(found), sep="\n")
    if options.json or not options.quick:
        path = options.json or RESULTS / f"{found.date}-{found.machine['kind']}.json"
        found.write(path)
        print(f"\nwrote {path}")
    missed = any(result.verdict == "not reached" for result in found.targets)
    spoilt = any(sample.problem for sample in found.samples if "stepkit" in sample.runner)
    return int(options.check and (missed or spoilt))


def _measure(options: argparse.Namespace) -> Record:
    def wanted(name: str) -> bool:
        return not options.only or any(fnmatch(name, pattern) for pattern in options.only)

    load = os.getloadavg()[0]
    chosen = [case for case in (cases.QUICK if options.quick else cases.FULL) if wanted(case.name)]
    around = [case for case in (peers.QUICK if options.quick else peers.FULL) if wanted(case.name)]
    turns = options.rounds or (1 if options.quick else 5)
    samples = []
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="stepkit-benchmarks-") as scratch:
        place = Path(scratch)
        notebooks = cases.run_in_turn(chosen, place, turns, options.slow_rounds, skipped)
        steps = peers.run_in_turn(around, place, turns, skipped)
        for sample in itertools.chain(notebooks if chosen else (), steps if around else ()):
            samples.append(sample)
            note = f": {sample.problem}" if sample.problem else ""
            took = f"{sample.usage.wall:.2f} s{note}"
            show_progress(f"{sample.turn + 1} {sample.case} {sample.runner} {took}")
    proofs: list[Proof] = []
    for module in (readers, displays):
        if not options.quick and wanted(module.NAME):
            for proof in module.prove():
                show_progress(f"{proof.name} {proof.runner}: {proof.text}")
                proofs.append(proof)
    return record.Record(
        date=record.today(),
        machine=record.machine(),
        versions=record.versions(),
        load=[load, os.getloadavg()[0]],
        cases={
            **{case.name: case.about for case in chosen},
            **{case.name: case.about for case in around},
        },
        samples=samples,
        skipped=skipped,
        proofs=proofs,
        targets=report.judge(samples, proofs),
    )


if __name__ == "__main__":
    sys.exit(main())
