"""Check a plan of several notebooks before the first of them starts."""

from __future__ import annotations

import json
import os
from graphlib import CycleError, TopologicalSorter
from itertools import combinations
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason
from stepkit.formats.did_you_mean import did_you_mean
from stepkit.notebook import ipynb
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from stepkit.batch.planned_notebook import Places, Planned

_STEP: Final = "execute-notebook"  # whose reports may be overwritten


def check(plan: Sequence[Planned]) -> None:
    """Refuse notebooks that cannot run together. Raises :class:`ConfigurationError`.

    A notebook that is skipped need not even exist.
    """
    _check_names(plan)
    needed = find_all_needs(plan)
    running = [one for one in plan if not one.exempt]
    with atomic_files.explaining("cannot use a path"):  # such as one that is too long
        for one in running:
            ipynb.check(one.path)
            rules, cwd = one.settings.rules, one.settings.cwd
            if rules and not rules.is_file():
                near = atomic_files.near_names(rules)
                raise ConfigurationError(
                    f"{one.name}: there is no file of rules {rules}{near}", reason=Reason.NOT_FOUND
                )
            if cwd and not cwd.is_dir():
                raise ConfigurationError(f"{one.name}: there is no working directory {cwd}")
    _check_outputs(plan, needed)
    skipped = {one.name for one in plan if one.exempt}
    for one in running:
        if not needed[one.name] & skipped:  # or it is skipped too
            _check_inputs(one, plan, needed)


def check_places(plan: Sequence[Planned], places: Places) -> None:
    """Refuse to overwrite what a notebook of the run reads, or another step's report.

    Raises :class:`ConfigurationError`, also for a directory that is not writable.
    """
    for directory in (places.directory, places.reports):
        atomic_files.check_writable(directory)
    read = {_real(one.path): f"the notebook {one.path}" for one in plan}
    read |= {_real(one.place(f)): f"an input of {one.name}" for one in plan for f in one.inputs}
    taken: dict[str, str] = {}
    for one in plan:
        written = (places.executed(one), places.page(one), places.log(one), places.report(one))
        for path in (*written, *places.patched(one)):
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


def find_all_needs(plan: Sequence[Planned]) -> dict[str, set[str]]:
    """Return the names of all notebooks that each one needs, directly or through others.

    Raises :class:`ConfigurationError` for a name that the plan does not have, and for a circle.
    """
    needs = {one.name: one.needs for one in plan}
    for one in plan:
        for need in one.needs:
            if need not in needs:
                hint = did_you_mean(need, needs)
                raise ConfigurationError(
                    f"{one.name} needs {need!r}, which is not a notebook{hint}"
                )
    found: dict[str, set[str]] = {}
    try:
        for name in TopologicalSorter(needs).static_order():
            found[name] = set(needs[name]).union(*(found[need] for need in needs[name]))
    except CycleError as error:
        *circle, _ = reversed(error.args[1])  # graphlib names a need before what needs it
        first = circle.index(next(name for name in needs if name in circle))
        shown = " -> ".join([*circle[first:], *circle[: first + 1]])
        raise ConfigurationError(f"these notebooks wait for each other: {shown}") from error
    return found


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


def _check_inputs(one: Planned, plan: Sequence[Planned], needed: Mapping[str, set[str]]) -> None:
    """Refuse an input that does not exist, unless a notebook writes it that ``one`` needs."""
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


def _check_outputs(plan: Sequence[Planned], needed: Mapping[str, set[str]]) -> None:
    """Refuse two notebooks that write the same file, unless one waits for the other."""
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
    """Refuse to replace a file that is not the report of a notebook."""
    if not os.path.lexists(path):
        return
    try:
        step = json.loads(atomic_files.read(path))["step"]
    except (ValueError, KeyError, TypeError, RecursionError):
        step = None
    if step != _STEP:
        whose = f"the report of {step}" if isinstance(step, str) else "not a report"
        raise ConfigurationError(
            f"{path} exists and is {whose}: choose another --reports, or remove it"
        )


def _real(path: Path) -> str:
    return os.path.realpath(path)
