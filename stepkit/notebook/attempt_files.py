"""The files of an attempt to run a notebook, which are kept when another attempt follows."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from stepkit.errors import ConfigurationError
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import DataclassInstance

TIMELINE: Final = ".timeline.json.gz"  # suffix of the file of samples

# Endings of what a run writes beside its output: samples, outputs that were cut, rules' changes.
_BESIDE: Final = (TIMELINE, ".outputs", ".patched.ipynb", ".patched.diff")

T = TypeVar("T", bound="DataclassInstance")


def kept_path(path: Path, number: int) -> Path:
    """Return where attempt ``number`` keeps ``path``: ``out.ipynb`` as ``out.attempt-1.ipynb``."""
    stem, ending = _split(path)
    return path.with_name(f"{stem}.attempt-{number}{ending}")


def relocate(outputs: T, number: int) -> T:
    """Return a step's outputs with the paths at which attempt ``number`` keeps its files."""
    moved = {}
    for field in fields(outputs):
        path = getattr(outputs, field.name)
        if isinstance(path, Path) and not path.exists() and kept_path(path, number).exists():
            moved[field.name] = kept_path(path, number)
    return replace(outputs, **moved)


def paths_written(output: Path, log: Path, *further: Path | None) -> list[Path]:
    """Return all paths that one attempt may write, with those that stand beside ``output``."""
    beside = [output.with_suffix(ending) for ending in _BESIDE]
    return [output, log, *beside, *(path for path in further if path)]


def keep(paths: Iterable[Path], number: int) -> None:
    """Move what attempt ``number`` wrote out of the way of the next one.

    Missing files are passed over. Links, devices and pipes stay where they are, such as those of
    ``--log /dev/stderr``. Raises :class:`~stepkit.errors.StepError`.
    """
    for path in paths:
        if not path.is_symlink() and (path.is_file() or path.is_dir()):
            with atomic_files.explaining(f"cannot keep {path} of attempt {number}"):
                path.rename(kept_path(path, number))


def remove_kept(paths: Iterable[Path], *, source: Path | None = None) -> None:
    """Remove what attempts of an earlier run kept, which would be taken for this run's.

    Removes nothing when the notebook ``source`` does not exist, because the run will fail at once.
    Raises :class:`ConfigurationError`, and removes nothing, when ``source`` is one of these files:
    a kept notebook that is to be run again.
    """
    if source and not os.path.exists(source):  # noqa: PTH110 - False for a name that is too long
        return
    stale: set[Path] = set()
    for path in paths:
        stem, ending = _split(path)
        kept_name = re.compile(rf"{re.escape(stem)}\.attempt-[0-9]+{re.escape(ending)}")
        if path.parent.is_dir():
            stale |= {old for old in path.parent.iterdir() if kept_name.fullmatch(old.name)}
    if source and source.resolve() in {old.resolve() for old in stale}:
        raise ConfigurationError(
            f"{source} is what an earlier attempt kept, and this run would replace it: "
            f"choose an output of another name, or copy it first"
        )
    for old in stale:
        with atomic_files.explaining(f"cannot remove {old}"):
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old)
            else:
                old.unlink()


def _split(path: Path) -> tuple[str, str]:
    """Split a name so that a file beside a notebook stays beside it under the new name."""
    ending = next((end for end in _BESIDE if path.name.endswith(end)), path.suffix)
    return path.name.removesuffix(ending), ending
