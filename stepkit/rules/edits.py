"""Apply one rule of each kind to the working copy of a notebook."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

from stepkit.errors import ConfigurationError
from stepkit.notebook import python_source
from stepkit.rules import assignments, mismatch, patterns, selectors
from stepkit.rules.rule import AnyRule, Inject, Replace, Selector, Set, Skip, shorten_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.rules.selectors import Cell
    from stepkit.rules.working_copy import WorkingCopy

_PARAMETERS: Final = "parameters"  # papermill injects the values of --parameters after this cell


def edit(copy: WorkingCopy, rule: AnyRule, *, python: bool) -> None:
    """Apply ``rule`` to ``copy``; ``python`` is whether the notebook's language is Python.

    Raises :class:`ConfigurationError` when the rule matches more or fewer times than it expects.
    """
    match rule:
        case Set():
            _set(copy, rule, python=python)
        case Replace():
            _replace(copy, rule, python=python)
        case Skip():
            for cell in _expected(copy, rule, rule.cells):
                _check_unchanged(copy, rule, cell)
                copy.skip(cell)
                why = f": {rule.reason}" if rule.reason else ""
                copy.record("skip", cell, f"{cell} is skipped{why}")
        case Inject():
            _inject(copy, rule, python=python)


def _check_unchanged(copy: WorkingCopy, rule: Skip | Inject, cell: Cell) -> None:
    if earlier := copy.changed_by(cell):
        raise ConfigurationError(
            f"{rule.where} ({rule.title}) would skip {cell}, which {earlier} changed, so that the "
            "change would have no effect: take one of the two rules out; nothing was run"
        )


def _set(copy: WorkingCopy, rule: Set, *, python: bool) -> None:
    if not python:
        raise ConfigurationError(
            f"{rule.where} (set {', '.join(rule.values)}) reads Python, and this notebook is in "
            "another language: use replace"
        )
    for name, value in rule.values.items():
        found = []
        chosen = selectors.choose(copy.cells, rule.cells, rule.where)
        running = copy.running(chosen)
        for cell in running:
            parsed = python_source.parse(copy.source(cell))
            found += [(cell, place) for place in (assignments.find(parsed, name) if parsed else ())]
        if len(found) != rule.expect:
            hint = mismatch.find_similar_assignment(copy, chosen, name)
            matched = [cell for cell, _ in found]
            unit = "top-level assignment"
            raise mismatch.error(
                rule, f"set {name}", unit=unit, found=matched, hint=hint, searched=running
            )
        for cell in dict.fromkeys(cell for cell, _ in found):
            _put_value(copy, rule, cell, name, value)


def _put_value(copy: WorkingCopy, rule: Set, cell: Cell, name: str, value: str) -> None:
    """Assign ``value`` to ``name`` in ``cell``, and record each assignment, changed or not."""
    old = copy.source(cell)
    parsed = python_source.parse(old)
    assert parsed is not None
    if _PARAMETERS in cell.tags:
        copy.names_set.add(name)
    places = assignments.find(parsed, name)
    there = [place for place in places if assignments.is_same(old[place.begin : place.end], value)]
    for _ in there:
        copy.record(f"set {name}", cell, f"{name} is {shorten_line(value)} already", applied=False)
    places = [place for place in places if place not in there]
    if not places:
        return
    for place in places:
        also = f", which {' and '.join(place.also)} shares" if place.also else ""
        was = shorten_line(old[place.begin : place.end])
        what = f"{name} = {shorten_line(value)} instead of {was}{also}"
        copy.record(f"set {name}", cell, what)
    try:
        copy.set_source(cell, assignments.set_value(old, name, value), f"{rule.where} (set {name})")
    except ValueError as error:
        raise ConfigurationError(f"{rule.where} (set {name}): in {cell}, {error}") from error


def _replace(copy: WorkingCopy, rule: Replace, *, python: bool) -> None:
    chosen = selectors.choose(copy.cells, rule.cells, rule.where)
    running = copy.running(chosen)
    texts = [copy.source(cell) for cell in running]
    if rule.regex:
        try:
            made = patterns.substitute(rule.old, rule.new, texts, running, re.MULTILINE)
        except ConfigurationError as error:
            raise ConfigurationError(f"{rule.where} ({rule.title}): {error}") from error
    else:
        made = [(text.replace(rule.old, rule.new), text.count(rule.old)) for text in texts]
    found = [cell for cell, (_, number) in zip(running, made, strict=True) for _ in range(number)]
    if len(found) != rule.expect:
        hint = mismatch.find_similar_text(copy, chosen, rule)
        raise mismatch.error(
            rule, rule.title, unit="place", found=found, hint=hint, searched=running
        )
    for cell, (source, number) in zip(running, made, strict=True):
        if not number:
            continue
        before = copy.source(cell)
        if python and python_source.parse(before) and not python_source.is_readable(source):
            raise ConfigurationError(f"{rule.where} ({rule.title}): after it {cell} is not Python")
        if source == before:
            what = f"{shorten_line(rule.old)!r} is {shorten_line(rule.new)!r} already"
            copy.record("replace", cell, what, applied=False)
            continue
        copy.set_source(cell, source, f"{rule.where} ({rule.title})")
        times = f", {number} times" if number > 1 else ""
        what = f"{shorten_line(rule.old)!r} became {shorten_line(rule.new)!r}{times}"
        copy.record("replace", cell, what)


def _inject(copy: WorkingCopy, rule: Inject, *, python: bool) -> None:
    if python and not python_source.is_readable(rule.source):
        raise ConfigurationError(f"{rule.where} ({rule.title}): its source is not Python")
    title = f"inject {rule.place}"
    side: Literal["before", "after"] = "before" if rule.place == "before" else "after"
    if rule.cells is None:
        end, position = ("start", -1) if side == "before" else ("end", len(copy.notebook.cells))
        name = copy.inject(rule.source, position, side)
        copy.record_injected(title, name, rule.source, f"at the notebook's {end}")
        return
    for cell in _expected(copy, rule, rule.cells):
        name = copy.inject(rule.source, cell.position, side)
        if rule.place == "instead-of":
            _check_unchanged(copy, rule, cell)
            copy.stand_ins += bool(cell.number and not copy.skipped(cell))
            copy.skip(cell)
            copy.record(title, cell, f"{cell} is skipped: {name} runs instead")
        copy.record_injected(title, name, rule.source, f"{rule.place.replace('-', ' ')} {cell}")


def _expected(copy: WorkingCopy, rule: Skip | Inject, selector: Selector) -> Sequence[Cell]:
    """Return the cells of ``selector``; raise unless they are as many as ``rule`` expects."""
    found = selectors.choose(copy.cells, selector, rule.where)
    if len(found) != rule.expect:
        hint = selectors.explain(copy.cells, selector)
        raise mismatch.error(rule, rule.title, unit="cell", found=found, hint=hint)
    return found
