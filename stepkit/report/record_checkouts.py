"""The checkouts of a run as run.json holds them, and which of them a notebook comes from."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from stepkit.redaction import redact
from stepkit.report import unchecked_values

if TYPE_CHECKING:
    from stepkit.report.run_json import RepositoryJson
    from stepkit.report.run_paths import RunPaths
    from stepkit.report.steps_of_run import Entry, Run


def record_repositories(run: Run) -> list[RepositoryJson]:
    """Return each checkout, also those that were not made: their commit is ``""``."""
    return [
        {
            "step": unchecked_values.line(entry.name),
            "url": redact(unchecked_values.line(entry.output("url") or entry.option("url"))),
            "revision": unchecked_values.line(entry.option("revision")),
            "commit": unchecked_values.line(entry.output("commit")),
            "committed": _committed(entry),
        }
        for entry in run.of_section("checkout")
    ]


@dataclass(frozen=True)
class Checkouts:
    """The directories of the checkouts, as run.json spells them, by their index in it."""

    directories: Mapping[int, str]

    @classmethod
    def of(cls, run: Run, paths: RunPaths) -> Checkouts:
        """Return the checkouts that were made."""
        shown = (paths.shown(entry.output("checkout")) for entry in run.of_section("checkout"))
        return cls({index: directory for index, directory in enumerate(shown) if directory})

    def place(self, path: str) -> tuple[int | None, str]:
        """Return the index of the checkout that holds ``path``, and the path in it.

        ``path`` is spelled as in run.json. One that no checkout holds is returned as it is.
        """
        holding = [
            (len(directory), index)
            for index, directory in self.directories.items()
            if path.startswith(f"{directory}/")
        ]
        if not holding:
            return None, path
        _, index = max(holding)
        return index, posixpath.relpath(path, self.directories[index])


def _committed(entry: Entry) -> str | None:
    try:
        return datetime.fromtimestamp(entry.output("committer-date"), UTC).isoformat()
    except (TypeError, ValueError, OverflowError, OSError):
        return None
