"""Find the notebooks that the paths and patterns of ``--notebooks`` name."""

from __future__ import annotations

import glob
import os
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepkit.batch.planned_notebook import Planned
from stepkit.errors import ConfigurationError, Reason
from stepkit.notebook import parameters
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from stepkit.batch.planned_notebook import Settings


def find(
    patterns: Sequence[str], settings: Settings, parameters_of: Sequence[str] = ()
) -> list[Planned]:
    """Return the notebooks in the order of ``patterns``, those of one pattern sorted by name.

    A notebook that two patterns match runs once, at its first place. ``parameters_of`` are
    ``PATTERN=YAML``; of several that fit a notebook, the later one wins. Raises
    :class:`ConfigurationError` for a pattern that matches nothing.
    """
    found: dict[str, Path] = {}
    for pattern in patterns:
        for path in _expand(pattern):
            found.setdefault(os.path.realpath(path), path)
    given = [_parameters(text, found.values()) for text in parameters_of]
    return [
        Planned(
            name=path.stem,
            path=path,
            settings=replace(
                settings,
                parameters={
                    name: value
                    for like, values in given
                    if _fits(path, like)
                    for name, value in values.items()
                },
            ),
        )
        for path in found.values()
    ]


def _fits(path: Path, pattern: str) -> bool:
    return fnmatchcase(os.path.relpath(path), os.path.normpath(pattern))


def _parameters(text: str, chosen: Collection[Path]) -> tuple[str, dict[str, Any]]:
    """Read ``PATTERN=YAML``, whose pattern must fit a notebook of ``chosen``, or another file."""
    pattern, equals, values = text.partition("=")
    if not equals or not pattern:
        raise ConfigurationError(f"--parameters-of {text!r} is not PATTERN={{NAME: VALUE}}")
    if not any(_fits(path, pattern) for path in chosen) and not (
        os.path.lexists(pattern) or glob.glob(pattern, recursive=True)  # noqa: PTH207
    ):
        near = atomic_files.near_names(Path(pattern))
        raise ConfigurationError(
            f"--parameters-of {pattern!r} fits no file{near}", reason=Reason.NOT_FOUND
        )
    return pattern, parameters.from_yaml(values, f"--parameters-of {pattern}")


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
