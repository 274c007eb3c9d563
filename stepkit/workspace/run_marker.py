"""The file that makes a directory a run's own: only such a one is ever cleaned away.

It names the directory and its inode, so that a copy that somebody made to keep, or a directory
that somebody gave another name, is no run any more.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from stepkit.errors import ConfigurationError
from stepkit.system import atomic_files, permissions

NAME: Final = ".stepkit-run.json"
SCHEMA: Final = "stepkit.run/1"

_LARGEST: Final = 1 << 16  # bytes; a larger file is no marker
_LARGEST_REPORT: Final = 50 << 20  # bytes; a larger file is no report
# What a killed run of prepare-workspace leaves of a report, a marker or a probe half written.
_SCRATCH: Final = re.compile(r"\.(.+\.json|stepkit)-[a-z0-9_]{8}")
_NOBODYS: Final = "lost+found"  # mkfs made it


@dataclass(frozen=True, kw_only=True)
class Marker:
    """What a marker says; ``doubt`` is why its directory counts as no run all the same."""

    run: str
    created: datetime
    directories: tuple[str, ...]
    doubt: str = ""


def read(directory: Path) -> Marker | None:
    """Return what the marker in ``directory`` says, None where there is none that makes sense."""
    path = directory / NAME
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            told: Any = json.loads(file.read(_LARGEST))
        if told["schema"] != SCHEMA:
            return None
        created = datetime.fromisoformat(told["created"])
        names = tuple(str(name) for name in told["directories"])
        marker = (str(told["run"]), str(told["directory"]), int(told["inode"]))
        inode = directory.stat().st_ino
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    run, name, known = marker
    doubt = ""
    if inode != known:
        doubt = f"it is a copy of the directory of run {run}"
    elif name != directory.name:
        doubt = f"it was called {name} when run {run} began"
    if created.tzinfo is None:
        created = created.replace(tzinfo=UTC)
    return Marker(run=run, created=created, directories=names, doubt=doubt)


def write(directory: Path, *, run: str, directories: tuple[str, ...]) -> Marker:
    """Mark ``directory`` as that of ``run``, from now on.

    Raises :class:`stepkit.errors.StepError` when the file cannot be written.
    """
    created = datetime.now(UTC).replace(microsecond=0)
    with atomic_files.explaining(f"cannot look at {directory}"):
        inode = directory.stat().st_ino
    told = {
        "schema": SCHEMA,
        "run": run,
        "directory": directory.name,
        "inode": inode,
        "created": created.isoformat(),
        "uid": os.geteuid(),
        "directories": directories,
    }
    atomic_files.write_atomically(directory / NAME, json.dumps(told, indent=2) + "\n")
    return Marker(run=run, created=created, directories=directories)


def check_unused(directory: Path) -> None:
    """Make sure that an unmarked ``directory`` holds nothing of anybody's.

    Empty directories, and reports that steps of this run wrote already, are fine. Raises
    :class:`ConfigurationError` that names a file.
    """

    def refuse(error: OSError) -> None:
        raise error

    with permissions.explaining(directory, "cannot look into"):
        for folder, folders, names in os.walk(directory, onerror=refuse):
            if _NOBODYS in folders and Path(folder) == directory:
                folders.remove(_NOBODYS)
            links = [name for name in folders if Path(folder, name).is_symlink()]
            for name in sorted([*names, *links]):
                path = Path(folder, name)
                if not (_SCRATCH.fullmatch(name) or report(path)):
                    raise ConfigurationError(
                        f"{directory} holds files that no step made, such as "
                        f"{path.relative_to(directory)}: give the run a directory of its own, "
                        "which clean-workspace may remove one day"
                    )


def report(path: Path) -> dict[str, Any] | None:
    """Return the report of a step in ``path``, or None if it holds none."""
    try:
        if path.suffix != ".json" or not path.is_file() or path.is_symlink():
            return None
        if path.stat().st_size > _LARGEST_REPORT:
            return None
        told = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    ours = isinstance(told, dict) and str(told.get("schema")).startswith("stepkit.report/")
    return told if ours else None
