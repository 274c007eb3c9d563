"""One attempt at a notebook, and the files that it leaves for people to look at."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from stepkit.errors import ConfigurationError, Reason
from stepkit.gpu import TIMELINE
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from _typeshed import DataclassInstance

# What a run writes beside its output: samples, outputs that were cut, and what rules changed.
_BESIDE: Final = (TIMELINE, ".outputs", ".patched.ipynb", ".patched.diff")

T = TypeVar("T", bound="DataclassInstance")
Status = Literal["succeeded", "tolerated", "failed", "cancelled"]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """How one attempt ended.

    ``number`` counts from 1, ``rung`` says who handed out the GPU's memory, ``gpu_peak`` is the
    most bytes of it that any cell had in use (None when nobody looked), ``notebook`` what the
    attempt left of the executed notebook (None when it left nothing).
    """

    number: int
    rung: str
    status: Status
    reason: Reason
    message: str
    seconds: float
    gpu_peak: int | None = None
    notebook: Path | None = None


def kept(path: Path, number: int) -> Path:
    """Return where attempt ``number`` keeps ``path``: ``out.ipynb`` as ``out.attempt-1.ipynb``."""
    stem, ending = _parted(path)
    return path.with_name(f"{stem}.attempt-{number}{ending}")


def relocated(outputs: T, number: int) -> T:
    """Return a step's outputs with the paths at which attempt ``number`` keeps its files."""
    paths = {name: getattr(outputs, name) for name in outputs.__dataclass_fields__}
    moved = {
        name: kept(path, number)
        for name, path in paths.items()
        if isinstance(path, Path) and not path.exists() and kept(path, number).exists()
    }
    return replace(outputs, **moved)


def written(output: Path, log: Path, *further: Path | None) -> list[Path]:
    """Return all that one attempt may write: what stands beside ``output`` comes of itself."""
    beside = [output.with_suffix(ending) for ending in _BESIDE]
    return [output, log, *beside, *(path for path in further if path)]


def keep(paths: Iterable[Path], number: int) -> None:
    """Move what attempt ``number`` wrote out of the way of the next one.

    Missing ones are passed over. Links, devices and pipes stay where they are: ``--log
    /dev/stderr`` is no file of ours. Raises :class:`~stepkit.errors.StepError`.
    """
    for path in paths:
        if not path.is_symlink() and (path.is_file() or path.is_dir()):
            with atomic_files.explaining(f"cannot keep {path} of attempt {number}"):
                path.rename(kept(path, number))


def forget(paths: Iterable[Path], *, inputs: Iterable[Path] = ()) -> None:
    """Remove what attempts of an earlier run kept: nobody may take it for this run's.

    Raises :class:`ConfigurationError`, and removes nothing, when one of ``inputs`` is among it:
    somebody runs a kept notebook again.
    """
    stale = {old for path in paths for old in _kept(path)}
    for source in inputs:
        if source.resolve() in {old.resolve() for old in stale}:
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


def _kept(path: Path) -> Iterator[Path]:
    stem, ending = _parted(path)
    ours = re.compile(rf"{re.escape(stem)}\.attempt-[0-9]+{re.escape(ending)}")
    if path.parent.is_dir():
        yield from (old for old in path.parent.iterdir() if ours.fullmatch(old.name))


def _parted(path: Path) -> tuple[str, str]:
    """Part a name so that what stands beside a notebook stays beside it under the new one."""
    ending = next((end for end in _BESIDE if path.name.endswith(end)), path.suffix)
    return path.name.removesuffix(ending), ending
