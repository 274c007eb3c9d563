"""How the rows ended: counted, printed after the tests, and written for docs/faults.md."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

RECORD: Final = Path(__file__).with_name("outcomes.json")
DEFECTS: Final = (
    "false success",
    "false failure",
    "lost",
    "torn",
    "leaked",
    "hung",
    "wrong class",
    "other",
)
_ROW: Final = re.compile(r"\[([GDPSTL]\d+)(?:-(.+))?\]$")


@dataclass
class Outcomes:
    """What happened to the cases of the rows.

    ``cases`` is how many cases of a row ran, ``rounds`` how often its step was judged, ``defects``
    what was found, and ``skipped`` why a case could not run here.
    """

    cases: Counter[str] = field(default_factory=Counter)
    rounds: Counter[str] = field(default_factory=Counter)
    defects: dict[str, list[str]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, report: pytest.TestReport) -> None:
        """Count the report of a test, unless it is none of a row."""
        found = _ROW.search(report.nodeid)
        if not found:
            return
        number, case = found[1], "-".join(filter(None, found.groups()))
        properties = dict(report.user_properties)
        self.seconds += report.duration
        expected_failure = hasattr(report, "wasxfail")
        if report.skipped and not expected_failure:
            self.skipped[case] = str(report.longrepr).rpartition("Skipped: ")[2].rstrip("')")
        elif report.when == "call" or report.failed:
            self.cases[number] += 1
            self.rounds[number] += int(str(properties.get("rounds", 0)))
            if report.failed or expected_failure:
                self.defects[case] = [str(properties.get("defect", "other"))]

    def table(self) -> list[list[str]]:
        """Return a table with a row for each letter, and for all of them together."""
        head = ["", "rows", "cases", "rounds", *DEFECTS, "skipped"]
        return [head, *(self._line(letter) for letter in "GDPSTL"), self._line("")]

    def _line(self, letter: str) -> list[str]:
        def of(names: Iterable[str]) -> list[str]:
            return [name for name in names if name.startswith(letter)]

        found = Counter(kind for case in of(self.defects) for kind in self.defects[case])
        counts = [
            len(of(self.cases)),
            sum(self.cases[number] for number in of(self.cases)),
            sum(self.rounds[number] for number in of(self.rounds)),
            *(found[kind] for kind in DEFECTS),
            len(of(self.skipped)),
        ]
        return [letter or "all", *map(str, counts)]

    def write(self) -> None:
        """Keep the outcomes for docs/faults.md."""
        RECORD.write_text(json.dumps(vars(self), indent=1, sort_keys=True) + "\n")

    @classmethod
    def read(cls) -> Outcomes:
        """Return what was written last."""
        written: dict[str, Any] = json.loads(RECORD.read_text())
        for name in ("cases", "rounds"):
            written[name] = Counter(written[name])
        return cls(**written)
