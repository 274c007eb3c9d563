"""Find the notebooks that the paths and patterns of ``--notebooks`` name."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING

from stepkit.batch.planned_notebook import Planned
from stepkit.errors import ConfigurationError, Reason
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.batch.planned_notebook import Settings


def find(patterns: Sequence[str], settings: Settings) -> list[Planned]:
    """Return the notebooks in the order of ``patterns``, those of one pattern sorted by name.

    A notebook that two patterns match runs once, at its first place. Raises
    :class:`ConfigurationError` for a pattern that matches nothing.
    """
    found: dict[str, Path] = {}
    for pattern in patterns:
        for path in _expand(pattern):
            found.setdefault(os.path.realpath(path), path)
    return [Planned(name=path.stem, path=path, settings=settings) for path in found.values()]


def _expand(pattern: str) -> list[Path]:
    if os.path.lexists(pattern) or not glob.has_magic(pattern):  # a name may hold brackets
        return [Path(pattern)]
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob takes no whole pattern
    if matches:
        return list(map(Path, matches))
    parts = Path(pattern).parts
    fixed = next(n for n, part in enumerate(parts) if glob.has_magic(part))
    directory = Path(*parts[:fixed])  # the part of the pattern that is a plain path
    hint = f": there is no directory {directory}"
    if directory.is_dir():
        hint = atomic_files.near_names(directory / Path(pattern).name)
    raise ConfigurationError(
        f"--notebooks {pattern!r} matches no file{hint}", reason=Reason.NOT_FOUND
    )
