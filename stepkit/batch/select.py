"""Find the notebooks that paths and patterns on the command line name."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING

from stepkit.batch.planned_notebook import Planned
from stepkit.errors import ConfigurationError, Reason
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepkit.batch.planned_notebook import Settings


def planned(patterns: Sequence[str], settings: Settings) -> list[Planned]:
    """Return the notebooks in the order of ``patterns``, those of one pattern sorted by name.

    A notebook that matches twice runs once, at its first place. Raises
    :class:`ConfigurationError` for a pattern that matches nothing.
    """
    found: dict[str, Path] = {}
    for pattern in patterns:
        for path in _matches(pattern):
            found.setdefault(os.path.realpath(path), path)
    return [Planned(name=path.stem, path=path, settings=settings) for path in found.values()]


def _matches(pattern: str) -> Iterator[Path]:
    if os.path.lexists(pattern) or not glob.has_magic(pattern):  # a name may hold brackets
        yield Path(pattern)
        return
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob takes no whole pattern
    if not matches:
        raise ConfigurationError(
            f"--notebooks {pattern!r} matches no file{_near(pattern)}", reason=Reason.NOT_FOUND
        )
    yield from map(Path, matches)


def _near(pattern: str) -> str:
    """Say what lies where the pattern begins to be one."""
    parts = Path(pattern).parts
    fixed = next(n for n, part in enumerate(parts) if glob.has_magic(part))
    directory = Path(*parts[:fixed])
    if not directory.is_dir():
        return f": there is no directory {directory}"
    return atomic_files.near_names(directory / Path(pattern).name)
