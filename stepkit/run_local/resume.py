"""Take what an earlier run proved: find its directory, ask the steps to, and see which did."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit import steps
from stepkit.errors import ConfigurationError, Reason
from stepkit.report import read_step_reports
from stepkit.run_local import arguments, task_evidence
from stepkit.workspace import run_marker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_SHOWN: Final = 5  # runs that a message names


def find_run(named: str, workspaces: Mapping[str, Path], run: str) -> Path:
    """Return the directory of the run ``named``: in a workspace, or wherever a path leads.

    Raises :class:`~stepkit.errors.ConfigurationError` when there is none, and for ``run`` itself.
    """
    places = [arguments.absolute(named)]
    if "/" not in named:
        places = [path / named for path in workspaces.values()]
    found = next((place for place in places if run_marker.read(place)), None)
    if found is None:
        known = [*_runs_beside(places)]
        hint = f": the last runs there are {', '.join(known)}" if known else ""
        raise ConfigurationError(
            f"--resume {named}: there is no run at {' or '.join(map(str, places))}, whose "
            f"directory prepare-workspace would have marked{hint}",
            reason=Reason.NOT_FOUND,
        )
    if run in {found.name, named}:
        raise ConfigurationError(
            f"--resume {named}: it is also the name of this run, which begins with an empty "
            "directory: choose another --run"
        )
    return found


def _runs_beside(places: Sequence[Path]) -> list[str]:
    """Return the names of the last runs in the directories of ``places``, the newest first."""
    found = []
    for above in {place.parent for place in places if place.parent.is_dir()}:
        marked = ((run_marker.read(path), path.name) for path in above.iterdir() if path.is_dir())
        found += [(marker.created, name) for marker, name in marked if marker]
    return [name for _, name in sorted(found, reverse=True)[:_MOST_SHOWN]]


def ask(argv: Sequence[str], earlier: Path | None) -> list[str]:
    """Return the command line, of a stepkit command that can reuse ``earlier`` with that asked."""
    name = _step(argv)
    if earlier is None or name not in steps.STEPS:
        return list(argv)
    step = steps.STEPS[name]
    takes = hasattr(step.Outputs, "resumable") or hasattr(step.Options, "resume")
    return [*argv, f"--resume={earlier}"] if takes else list(argv)


def reused_from(argv: Sequence[str], directory: Path | None) -> str:
    """Return the run whose files the command took that has ended; "" for one that ran."""
    path = task_evidence.report_of(argv) if _step(argv) else None
    if path is None:
        return ""
    entry = read_step_reports.read((directory or Path()) / path, steps.in_report)
    return str(entry.reused["run"]) if entry.reused else ""


def _step(argv: Sequence[str]) -> str:
    """Return the command of stepkit that ``argv`` calls, "" for any other program."""
    for place, part in enumerate(argv[:-1]):
        if part == "stepkit" and (place == 0 or argv[place - 1] == "-m"):
            return argv[place + 1]
    return argv[1] if len(argv) > 1 and os.path.basename(argv[0]) == "stepkit" else ""  # noqa: PTH119
