"""Paths in steps' reports as run.json spells them: relative to its own directory."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepkit.errors import Reason
from stepkit.report import unchecked_values

if TYPE_CHECKING:
    from stepkit.report.steps_of_run import Entry, Run


@dataclass(frozen=True)
class RunPaths:
    """``record`` is the directory of run.json, ``run`` the one that holds all files of the run.

    They are absolute, as is ``reports``. ``names`` are those that the run's directory may have in
    reports: containers, another machine or a symbolic link gave it another path.
    """

    record: Path
    run: Path
    reports: Path
    names: Sequence[Path] = ()

    @classmethod
    def of(cls, run: Run, *, record: Path, directory: Path, reports: Path) -> RunPaths:
        """Return the paths of ``run``, whose files are in ``directory``."""
        found = (entry.output("directory") for entry in run.of_section("workspace"))
        names = [os.path.realpath(directory), *(name for name in found if name)]
        return cls(record, directory, reports, [Path(name) for name in names])

    def report(self, entry: Entry) -> str | None:
        """Spell the path of a step's report, None where it left none."""
        there = entry.data or entry.reason == Reason.BAD_INPUT
        return self.shown(str(self.reports / f"{entry.name.lstrip('/')}.json")) if there else None

    def shown(self, path: Any) -> str | None:
        """Spell ``path`` relative to run.json; as it is outside of the run, None if it is none."""
        if not path or not isinstance(path, str):
            return None
        inside = self._inside(path)
        if inside is None:
            return unchecked_values.text(path)
        return unchecked_values.text(posixpath.relpath(self.run / inside, self.record))

    def local(self, path: Any) -> Path | None:
        """Return where ``path`` is now, None if it is outside of the run."""
        inside = self._inside(path) if path and isinstance(path, str) else None
        return None if inside is None else self.run / inside

    def _inside(self, path: str) -> str | None:
        """Return ``path`` relative to the run's directory, None if it is outside of it.

        A relative one that begins with the name of that directory was given in its parent.
        """
        starts = ((self.run, Path.cwd()), *((name, name.parent) for name in self.names))
        for root, start in starts:
            whole = posixpath.normpath(posixpath.join(str(start), path))
            if whole.startswith(f"{root}/"):
                return posixpath.relpath(whole, root)
        return None


def directory_of_run(reports: Path, record: Path) -> Path:
    """Return the directory of a run that has no mark: the one with its reports and its record.

    Both are absolute. Where they share none but the root, it is that of the record.
    """
    shared = Path(os.path.commonpath([reports, record]))
    return shared if shared in {record, record.parent} and shared != shared.parent else record
