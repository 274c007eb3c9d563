"""Everything that can be wrong with a run of several notebooks before one of them starts."""

from __future__ import annotations

import json
import os
from itertools import combinations
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason
from stepkit.formats.did_you_mean import did_you_mean
from stepkit.notebook import ipynb
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence
    from pathlib import Path

    from stepkit.batch.planned_notebook import Places, Planned

_STEP: Final = "execute-notebook"  # whose reports may be written over


def check(plan: Sequence[Planned]) -> None:
    """Refuse notebooks that cannot run together. Raises :class:`ConfigurationError`.

    A notebook that is skipped need not even exist.
    """
    _check_names(plan)
    needed = closure(plan)
    running = [one for one in plan if not one.exempt]
    with atomic_files.explaining("cannot use a path"):  # one that is too long, say
        for one in running:
            ipynb.check(one.path)
            _check_settings(one)
    _check_written(plan, needed)
    skipped = {one.name for one in plan if one.exempt}
    for one in running:
        if not needed[one.name] & skipped:  # or it is skipped too
            _check_inputs(one, plan, needed)


def check_places(plan: Sequence[Planned], places: Places) -> None:
    """Refuse to write over what a notebook of the run reads, or over another step's report.

    Raises :class:`ConfigurationError`, also for a directory that cannot be written.
    """
    for directory in (places.directory, places.reports):
        atomic_files.check_writable(directory)
    read = {_real(one.path): f"the notebook {one.path}" for one in plan}
    read |= {_real(one.place(f)): f"an input of {one.name}" for one in plan for f in one.inputs}
    taken: dict[str, str] = {}
    for one in plan:
        for path in _written(one, places):
            real = _real(path)
            if path.is_dir():
                raise ConfigurationError(f"{path} is a directory: {one.name} would write there")
            if what := read.get(real) or taken.get(real):
                raise ConfigurationError(
                    f"{one.name} would write over {what} ({path}): choose another --directory, "
                    "--reports or --suffix"
                )
            taken[real] = f"a file of {one.name}"
        _check_report(places.report(one))


def _written(one: Planned, places: Places) -> Iterator[Path]:
    yield places.executed(one)
    yield places.page(one)
    yield places.log(one)
    yield places.report(one)
    yield from places.patched(one)


def closure(plan: Sequence[Planned]) -> dict[str, set[str]]:
    """Return all that each notebook needs, directly or not.

    Raises :class:`ConfigurationError` for one that does not exist, and for a circle.
    """
    names = {one.name: one for one in plan}
    for one in plan:
        for need in one.needs:
            if need not in names:
                hint = did_you_mean(need, names)
                raise ConfigurationError(f"{one.name} needs {need!r}, which is no notebook{hint}")
    found: dict[str, set[str]] = {}
    left = list(plan)
    while left:
        ready = [one for one in left if set(one.needs) <= found.keys()]
        if not ready:
            circle = " -> ".join(_circle(left, found.keys()))
            raise ConfigurationError(f"these notebooks wait for each other: {circle}")
        for one in ready:
            found[one.name] = set(one.needs).union(*(found[need] for need in one.needs))
        left = [one for one in left if one.name not in found]
    return found


def _circle(left: Sequence[Planned], done: Container[str]) -> list[str]:
    waiting = {one.name: [need for need in one.needs if need not in done] for one in left}
    path = [next(iter(waiting))]
    while (following := waiting[path[-1]][0]) not in path:
        path.append(following)
    return [*path[path.index(following) :], following]


def _check_names(plan: Sequence[Planned]) -> None:
    seen: dict[str, Path] = {}
    for one in plan:
        if one.name in seen:
            raise ConfigurationError(
                f"{seen[one.name]} and {one.path} would both be called {one.name!r}: give them "
                "names in a --plan"
            )
        seen[one.name] = one.path
        if "/" in one.name or one.name.startswith(".") or not one.name.isprintable():
            raise ConfigurationError(
                f"{one.name!a} cannot be the name of a notebook: it begins with a dot, or holds a "
                "slash or a character that no file name should; give it a name in a --plan"
            )


def _check_settings(one: Planned) -> None:
    rules, cwd = one.settings.rules, one.settings.cwd
    if rules and not rules.is_file():
        raise ConfigurationError(
            f"{one.name}: there is no file of rules {rules}{atomic_files.near_names(rules)}",
            reason=Reason.NOT_FOUND,
        )
    if cwd and not cwd.is_dir():
        raise ConfigurationError(f"{one.name}: there is no working directory {cwd}")


def _check_inputs(one: Planned, plan: Sequence[Planned], needed: Mapping[str, set[str]]) -> None:
    writers = {_real(other.place(file)): other.name for other in plan for file in other.outputs}
    for file in one.inputs:
        place = one.place(file)
        writer = writers.get(_real(place))
        if writer in needed[one.name] or one.has(file):
            continue
        hint = f": {writer} writes it, add that to its needs" if writer else ""
        raise ConfigurationError(
            f"{one.name} reads {file}, which no notebook before it writes and which is not there "
            f"({place}){hint}"
        )


def _check_written(plan: Sequence[Planned], needed: Mapping[str, set[str]]) -> None:
    """Refuse two notebooks that write one file unless the one waits for the other."""
    for one, other in combinations(plan, 2):
        if one.name in needed[other.name] or other.name in needed[one.name]:
            continue
        places = {_real(one.place(file)): file for file in one.outputs}
        for file in other.outputs:
            if _real(other.place(file)) in places:
                raise ConfigurationError(
                    f"{one.name} and {other.name} both write {file}, and neither needs the other"
                )


def _check_report(path: Path) -> None:
    """Refuse to replace a report that no run of a notebook has left."""
    if not os.path.lexists(path):
        return
    try:
        step = json.loads(atomic_files.read(path))["step"]
    except (ValueError, KeyError, TypeError, RecursionError):
        step = None
    if step != _STEP:
        whose = f"the report of {step}" if isinstance(step, str) else "no report"
        raise ConfigurationError(
            f"{path} is there and is {whose}: choose another --reports, or remove it"
        )


def _real(path: Path) -> str:
    return os.path.realpath(path)
