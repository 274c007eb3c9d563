"""Count the rounds of run_kills.py, for its last lines and for docs/faults.md."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from faults.kill_points import ERRORS

RECORD: Final = Path(__file__).with_name("kills.json")
TEXT: Final = """\
## Kills at chosen instants

`python -m tests.faults.run_kills` stops a command, and all that it starts, before each system call
that changes a file. It looks at the files there (`look`: a kill at that instant leaves the same),
kills all processes (`kill`), takes from each file what no sync wrote (`power`), or lets the call
fail (ENOSPC and EDQUOT from there on, EIO and ESTALE once). With `random`, kills follow each other
at random moments, eight times before a run may end. Each file must be as before or as after an
undisturbed run; after an error the exit code must be 4, or 0 with all files; and, but for `look`,
which lets the run go on, the next run must end as if nothing had happened. What it found to remove
is counted as `left`.

A power cut may empty the progress file and the timeline of a notebook and the sidecars of the
cache, which are made anew when they are next used, and may take back a name that was given last: of
a report, say, which then says that the step was killed. A kill between the two renames of
`git-clone` leaves the new checkout, whole, under the name of a backup.

What they found, all of it mended:

- A power cut after the last rename emptied a checkout, which the next `git-clone` refused (2), an
  unpacked dataset, copies of artifacts, and the CACHEDIR.TAG of a cache for good.
- A `download-dataset` that was killed after it had put a file left its scratch beside it for good.
- A disk that did not take a file of git's own, without a reason in git's message, ended with 2.
- A checkout without its list of shallow commits was moved into place before git could not read it.

"""
_FOUND: Final = ("torn", "lost", "hung", "wrong", "next run", "left")


def table(rounds: Iterable[dict[str, Any]]) -> list[list[str]]:
    """Count the rounds, as :func:`dataclasses.asdict` of outcomes, by scenario."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for one in rounds:
        row = counted[one["scenario"]]
        row["disk errors" if one["mode"] in ERRORS else one["mode"]] += 1
        row.update(name for name in _FOUND if one[name.replace(" ", "_")])
    head = ["", "look", "kill", "random", "power", "disk errors", *_FOUND]
    rows = [*counted.items(), ("all", sum(counted.values(), Counter()))]
    return [head, *([name, *(str(row[each]) for each in head[1:])] for name, row in rows)]


def write(rounds: Path) -> None:
    """Keep the counts of a file of rounds, one a line, for docs/faults.md."""
    counted = table(json.loads(line) for line in rounds.read_text().splitlines())
    RECORD.write_text("[\n" + ",\n".join(map(json.dumps, counted)) + "\n]\n")


def read() -> list[list[str]]:
    """Return the table that was written last."""
    found: list[list[str]] = json.loads(RECORD.read_text())
    return found
