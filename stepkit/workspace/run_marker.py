"""The marker file of a run's directory: clean-workspace removes only directories that have one.

It contains the directory's name and inode, so that a copy of a run, or a run under another name,
does not count as a run and stays.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from stepkit.errors import ConfigurationError
from stepkit.system import atomic_files, permissions, scratch

NAME: Final = ".stepkit-run.json"
SCHEMA: Final = "stepkit.run-directory/1"
_READ: Final = {SCHEMA, "stepkit.run/1"}  # the second one is what 0.1.0 wrote

_LARGEST: Final = 1 << 16  # bytes; a larger file is not a marker
_LARGEST_REPORT: Final = 50 << 20  # bytes; a larger file is not a report
# What a killed prepare-workspace leaves: a half-written report or marker, or its test file.
_LOST_AND_FOUND: Final = "lost+found"  # made by mkfs


@dataclass(frozen=True, kw_only=True)
class Marker:
    """What a marker says; ``doubt`` is why its directory does not count as a run, if so."""

    run: str
    created: datetime
    directories: tuple[str, ...]
    doubt: str = ""


def read(directory: Path) -> Marker | None:
    """Return the marker in ``directory``, or None if there is no valid one."""
    path = directory / NAME
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            fields: Any = json.loads(file.read(_LARGEST))
        if fields["schema"] not in _READ:
            return None
        created = datetime.fromisoformat(fields["created"])
        names = tuple(str(name) for name in fields["directories"])
        run, name, inode = str(fields["run"]), str(fields["directory"]), int(fields["inode"])
        moved = directory.stat().st_ino != inode
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    doubt = ""
    if moved:
        doubt = f"it is a copy of the directory of run {run}"
    elif name != directory.name:
        doubt = f"it was called {name} when run {run} began"
    if created.tzinfo is None:
        created = created.replace(tzinfo=UTC)
    return Marker(run=run, created=created, directories=names, doubt=doubt)


def write(directory: Path, *, run: str, directories: tuple[str, ...]) -> Marker:
    """Mark ``directory`` as that of ``run``, created now, with ``directories`` in it.

    Raises :class:`stepkit.errors.StepError` when the file cannot be written.
    """
    created = datetime.now(UTC).replace(microsecond=0)
    with atomic_files.explaining(f"cannot look at {directory}"):
        inode = directory.stat().st_ino
    fields = {
        "schema": SCHEMA,
        "run": run,
        "directory": directory.name,
        "inode": inode,
        "created": created.isoformat(),
        "uid": os.geteuid(),
        "directories": directories,
    }
    atomic_files.write_atomically(directory / NAME, json.dumps(fields, indent=2) + "\n")
    return Marker(run=run, created=created, directories=directories)


def check_unused(directory: Path) -> None:
    """Check that an unmarked ``directory`` does not hold files of a user.

    Empty directories, and reports that steps of this run wrote already, are fine. Raises
    :class:`ConfigurationError` that names a file.
    """

    def refuse(error: OSError) -> None:
        raise error

    with permissions.explaining(directory, "cannot look into"):
        for folder, folders, names in os.walk(directory, onerror=refuse):
            if _LOST_AND_FOUND in folders and Path(folder) == directory:
                folders.remove(_LOST_AND_FOUND)
            links = [name for name in folders if Path(folder, name).is_symlink()]
            for name in sorted([*names, *links]):
                path = Path(folder, name)
                if not (scratch.is_scratch(name) or read_report(path)):
                    raise ConfigurationError(
                        f"{directory} holds files that no step made, such as "
                        f"{path.relative_to(directory)}: give the run its own directory, "
                        "which clean-workspace may remove one day"
                    )


def read_report(path: Path) -> dict[str, Any] | None:
    """Return the report of a step in ``path``, or None if it does not hold one."""
    try:
        if path.suffix != ".json" or not path.is_file() or path.is_symlink():
            return None
        if path.stat().st_size > _LARGEST_REPORT:
            return None
        report = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    ours = isinstance(report, dict) and str(report.get("schema")).startswith("stepkit.report/")
    return report if ours else None
