"""Write docs/faults.md from table.yaml and from how the rows ended last.

For example, from the root of the tree:

    PYTHONPATH=tests python -m faults.write_page
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from faults import harness, kill_table
from faults.harness import Expected
from faults.outcomes import Outcomes

PAGE: Final = Path(__file__).parents[2] / "docs/faults.md"
_LETTERS: Final = {
    "G": "git",
    "D": "Downloads",
    "P": "Processes",
    "S": "Secrets and hostile input",
    "T": "Test suites",
    "L": "Verdicts under lies",
}
_DISK: Final = {"new": "whole", "old": "as it was", "either": "whole, or as it was", "any": "-"}
_HEAD: Final = """\
# What was tried

<!-- made by `make generated` from tests/faults/table.yaml and the last `make test-faults` -->

Each row is a fault that is built with real servers, disks and processes, and a command that meets
it. The table says beforehand how the command must end: exit code and [reason](reports.md), a
pattern of its message, and what is at its place on disk afterwards: all that it should write, or
what was there before, and never a part. No file and no output may hold a secret that was planted,
as it is or encoded, and no command may take longer than three minutes.

    make test-faults                          # all rows; some need root, gcc or strace
    make test-faults PYTEST_ARGS="-k G15"     # one row

"""


def page(outcomes: Outcomes) -> str:
    """Return the text of docs/faults.md."""
    lines = [_HEAD, *_rows(outcomes.table()), ""]
    lines += _listed("Not run on the machine of the last run", outcomes.skipped)
    lines += _listed(
        "Found by the last run",
        {case: ", ".join(kinds) for case, kinds in outcomes.defects.items()},
    )
    known = {*outcomes.cases, *(case.partition("-")[0] for case in outcomes.skipped)}
    uncounted = Counter(number[0] for number in harness.table() if number not in known)
    lines += _listed(
        "Rows that are in no counted run yet", {n: str(uncounted[n]) for n in uncounted}
    )
    for letter, title in _LETTERS.items():
        lines += [f"## {letter}: {title}", ""]
        head = ["", "fault", "command", "ends with", "at its place"]
        rows = [_row(n, cases) for n, cases in harness.table().items() if n[0] == letter]
        lines += [*_rows([head, *rows]), ""]
    mended = [(n, cases[0].mended) for n, cases in harness.table().items() if cases[0].mended]
    lines += ["## What the rows found", ""]
    lines += [f"- {number}: {mended}" for number, mended in mended]
    failing = [case for cases in harness.table().values() for case in cases if case.fails]
    lines += [f"- {case.number} {case.case} fails: {case.fails}" for case in failing]
    lines += ["", kill_table.TEXT, *_rows(kill_table.read())]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _listed(title: str, cases: dict[str, str]) -> list[str]:
    lines = [f"- {case}: {text}" for case, text in sorted(cases.items())]
    return [f"{title}:", "", *lines, ""] if lines else []


def _rows(table: list[list[str]]) -> Iterator[str]:
    for number, row in enumerate(table):
        yield f"| {' | '.join(row)} |"
        if not number:
            yield f"|{'---|' * len(row)}"


def _row(number: str, cases: tuple[Expected, ...]) -> list[str]:
    ends: dict[str, list[str]] = {}
    for case in cases:
        ends.setdefault(_end(case), []).append(case.case)
    several = len(ends) > 1
    shown = [f"{', '.join(names)}: {end}" if several else end for end, names in ends.items()]
    names = [case.case for case in cases if case.case]
    fault = cases[0].fault.replace("|", r"\|")
    fault += f" ({', '.join(names)})" if names and not several else ""
    steps = dict.fromkeys(f"`{case.step}`" for case in cases)
    disks = dict.fromkeys(_DISK[case.disk] for case in cases)
    return [number, fault, ", ".join(steps), "; ".join(shown), "; ".join(disks)]


def _end(case: Expected) -> str:
    exits = " or ".join("killed" if code < 0 else str(code) for code in case.exits)
    reasons = [reason for reason in case.reasons if reason != "ok"]
    return f"{exits} `{'`, `'.join(reasons)}`" if reasons else exits


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(Outcomes.read()))


if __name__ == "__main__":
    main()
