"""What rules changed in a notebook as run.json holds it: cell by cell, and as a diff."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from stepkit.redaction import redact
from stepkit.report import unchecked_values

if TYPE_CHECKING:
    from pathlib import Path

    from stepkit.report.run_json_notebook import ChangeJson
    from stepkit.report.run_paths import RunPaths
    from stepkit.report.steps_of_run import Entry

_MOST_DIFF: Final = 20_000  # bytes; the file has the rest


def changes(entry: Entry) -> list[ChangeJson]:
    """Return what each rule did."""
    return [
        {
            "rule": unchecked_values.line(change["rule"]),
            "cell": unchecked_values.whole(change["cell"]),
            "id": unchecked_values.line(change["id"]),
            "what": unchecked_values.line(change["what"]),
            "applied": change.get("applied", True),
        }
        for change in entry.output("changes") or ()
    ]


def diff_text(entry: Entry, paths: RunPaths) -> str:
    """Return the beginning of the diff, ``""`` where the run's directory does not hold it."""
    path = paths.local(entry.output("diff"))
    try:
        found = _read(path) if path else b""
    except OSError:
        return ""
    text = redact(unchecked_values.text(found.decode(errors="replace"), _MOST_DIFF))
    if len(found) <= _MOST_DIFF:
        return text
    return text[: text.rfind("\n") + 1] + "(the file has more)"


def _read(path: Path) -> bytes:
    """Return the beginning of a file; a link could lead anywhere, and a pipe would block."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        return file.read(_MOST_DIFF + 1)
