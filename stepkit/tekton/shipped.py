"""Where the Tasks and Pipelines of this version are: in the wheel, or beside the package."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).parents[1]


def directory() -> Path:
    """Return the directory that is ``tasks/`` in the repository."""
    in_wheel = _PACKAGE / "tasks"
    return in_wheel if in_wheel.is_dir() else _PACKAGE.with_name("tasks")


def pipelines() -> dict[str, Path]:
    """Return the files of the Pipelines by their names."""
    return {path.stem: path for path in sorted(directory().glob("pipelines/*.yaml"))}


def tasks() -> dict[str, Path]:
    """Return the files of the Tasks by their names."""
    found = sorted(directory().glob("*.yaml"))
    return {path.stem: path for path in found if path.stem != "kustomization"}
