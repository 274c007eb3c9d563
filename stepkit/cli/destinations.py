"""Where a command writes its results and its report."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit.cli import commands, tekton_results

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from _typeshed import DataclassInstance

STDOUT: Final = Path("-")  # what --report calls stdout


@dataclasses.dataclass(frozen=True, kw_only=True)
class Destinations:
    """Files for results, by the name of an output, and for the report; ``secrets`` are masked.

    With ``stdout``, stdout gets the report and nothing else.
    """

    results: tuple[tuple[str, Path], ...] = ()
    reports: tuple[Path, ...] = ()
    stdout: bool = False
    secrets: tuple[str, ...] = ()

    @property
    def by_flag(self) -> list[tuple[str, Path]]:
        """Each file with the flag that names it."""
        return [(f"--result {name}", path) for name, path in self.results] + [
            ("--report", path) for path in self.reports
        ]

    def without(self, paths: Iterable[str | Path]) -> Destinations:
        """Leave out the files that ``paths`` name too, and those that two flags name."""
        taken = Counter(os.path.realpath(path) for _, path in self.by_flag)
        taken.update(os.path.realpath(path) for path in paths)
        return dataclasses.replace(
            self,
            results=tuple(r for r in self.results if taken[os.path.realpath(r[1])] == 1),
            reports=tuple(path for path in self.reports if taken[os.path.realpath(path)] == 1),
        )


def parsed(
    args: argparse.Namespace, options: DataclassInstance, secrets: Iterable[str]
) -> Destinations:
    """Return what parsed arguments ask for.

    A step whose options have a ``second_report`` leaves its report there, too, unless --report is
    in the same directory.
    """
    reports = [args.report] if args.report and args.report != STDOUT else []
    second: Path | None = getattr(options, "second_report", None)
    if second and os.path.realpath(second.parent) not in {
        os.path.realpath(report.parent) for report in reports
    }:
        reports.append(second)
    return Destinations(
        results=tuple(args.results),
        reports=tuple(reports),
        stdout=args.json or args.report == STDOUT,
        secrets=tuple(secrets),
    )


def find(words: Sequence[str], secrets: Iterable[str]) -> Destinations:
    """Find --result and --report in arguments that are wrong.

    A file that another argument names as well is left out: a step may read it.
    """
    command = commands.COMMANDS.get(words[0])
    names = tekton_results.output_names(command) if command else tekton_results.COMMON_OUTPUTS
    results, reports, others = [], [], []
    stdout = "--json" in words
    left = list(words)
    while left:
        word = left.pop(0)
        flag, equals, value = word.partition("=")
        if flag not in {"--report", "--result"}:
            others += [word, value]
            continue
        if not equals and left and (left[0] == "-" or not left[0].startswith("-")):
            value = left.pop(0)
        name, _, path = value.partition("=")
        if flag == "--report" and value:
            reports = [Path(value)]
            stdout = stdout or reports == [STDOUT]
        elif name in names and path:
            results.append((name, Path(path)))
    found = Destinations(
        results=tuple(results),
        reports=tuple(path for path in reports if path != STDOUT),
        stdout=stdout,
        secrets=tuple(secrets),
    )
    return found.without(others)
