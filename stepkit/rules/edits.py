"""What a rule of each kind does to the draft of a notebook."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError
from stepkit.notebook import python_source
from stepkit.rules import assignments, mismatch, patterns, selectors
from stepkit.rules.rule import AnyRule, Inject, Replace, Selector, Set, Skip, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stepkit.rules.selectors import Cell
    from stepkit.rules.working_copy import Draft

_PARAMETERS: Final = "parameters"  # papermill puts what --parameters says behind this cell


def edit(draft: Draft, rule: AnyRule, *, python: bool) -> None:
    """Do to ``draft`` what ``rule`` says; ``python`` is whether its cells are in that language.

    Raises :class:`ConfigurationError` when the rule meets something else than it expects.
    """
    match rule:
        case Set():
            _set(draft, rule, python=python)
        case Replace():
            _replace(draft, rule, python=python)
        case Skip():
            for cell in _expected(draft, rule, rule.cells):
                _check_unchanged(draft, rule, cell)
                draft.skip(cell)
                why = f": {rule.reason}" if rule.reason else ""
                draft.note("skip", cell, f"{cell} is skipped{why}")
        case Inject():
            _inject(draft, rule, python=python)


def _check_unchanged(draft: Draft, rule: Skip | Inject, cell: Cell) -> None:
    if earlier := draft.changed_by(cell):
        raise ConfigurationError(
            f"{rule.where} ({rule.title}) would skip {cell}, which {earlier} changed to no effect "
            "then: take one of the two rules out; nothing was run"
        )


def _set(draft: Draft, rule: Set, *, python: bool) -> None:
    if not python:
        raise ConfigurationError(
            f"{rule.where} (set {', '.join(rule.values)}) reads Python, and this notebook is in "
            "another language: use replace"
        )
    for name, value in rule.values.items():
        found = []
        chosen = selectors.choose(draft.cells, rule.cells, rule.where)
        for cell in draft.running(chosen):
            parsed = python_source.parse(draft.source(cell))
            found += [(cell, place) for place in (assignments.find(parsed, name) if parsed else ())]
        if len(found) != rule.expect:
            hint = mismatch.near_assignment(draft, chosen, name)
            matched = [cell for cell, _ in found]
            raise mismatch.error(
                rule, f"set {name}", unit="top-level assignment", found=matched, hint=hint
            )
        for cell in dict.fromkeys(cell for cell, _ in found):
            _put_value(draft, rule, cell, name, value)


def _put_value(draft: Draft, rule: Set, cell: Cell, name: str, value: str) -> None:
    old = draft.source(cell)
    parsed = python_source.parse(old)
    assert parsed is not None
    if _PARAMETERS in cell.tags:
        draft.names_set.add(name)
    places = assignments.find(parsed, name)
    there = [place for place in places if assignments.same(old[place.begin : place.end], value)]
    for _ in there:
        draft.note(f"set {name}", cell, f"{name} is {shortened(value)} already", applied=False)
    places = [place for place in places if place not in there]
    if not places:
        return
    for place in places:
        also = f", which {' and '.join(place.also)} shares" if place.also else ""
        was = shortened(old[place.begin : place.end])
        what = f"{name} = {shortened(value)} instead of {was}{also}"
        draft.note(f"set {name}", cell, what)
    try:
        draft.put(cell, assignments.put(old, name, value), f"{rule.where} (set {name})")
    except ValueError as error:
        raise ConfigurationError(f"{rule.where} (set {name}): in {cell}, {error}") from error


def _replace(draft: Draft, rule: Replace, *, python: bool) -> None:
    chosen = selectors.choose(draft.cells, rule.cells, rule.where)
    changed, found = [], []
    for cell, (source, number) in _replaced(draft, rule, draft.running(chosen)):
        if number:
            changed.append((cell, source, number))
            found += [cell] * number
    if len(found) != rule.expect:
        hint = mismatch.near_text(draft, chosen, rule)
        raise mismatch.error(rule, rule.title, unit="place", found=found, hint=hint)
    for cell, source, number in changed:
        if (
            python
            and python_source.parse(draft.source(cell))
            and not python_source.is_readable(source)
        ):
            raise ConfigurationError(f"{rule.where} ({rule.title}): after it {cell} is no Python")
        if source == draft.source(cell):
            what = f"{shortened(rule.old)!r} is {shortened(rule.new)!r} already"
            draft.note("replace", cell, what, applied=False)
            continue
        draft.put(cell, source, f"{rule.where} ({rule.title})")
        times = f", {number} times" if number > 1 else ""
        what = f"{shortened(rule.old)!r} became {shortened(rule.new)!r}{times}"
        draft.note("replace", cell, what)


def _replaced(
    draft: Draft, rule: Replace, running: Sequence[Cell]
) -> Iterable[tuple[Cell, tuple[str, int]]]:
    texts = [draft.source(cell) for cell in running]
    if not rule.regex:
        made = [(text.replace(rule.old, rule.new), text.count(rule.old)) for text in texts]
        return zip(running, made, strict=True)
    try:
        made = patterns.substitute(rule.old, rule.new, texts, running, re.MULTILINE)
    except ConfigurationError as error:
        raise ConfigurationError(f"{rule.where} ({rule.title}): {error}") from error
    return zip(running, made, strict=True)


def _inject(draft: Draft, rule: Inject, *, python: bool) -> None:
    if python and not python_source.is_readable(rule.source):
        raise ConfigurationError(f"{rule.where} ({rule.title}): its source is no Python")
    title = f"inject {rule.place}"
    if rule.cells is None:
        start = rule.place == "before"
        position = -1 if start else len(draft.notebook.cells)
        name = draft.inject(rule.source, position, "before" if start else "after")
        where = "at the notebook's start" if start else "at the notebook's end"
        draft.note_injected(title, name, rule.source, where)
        return
    for cell in _expected(draft, rule, rule.cells):
        side = "before" if rule.place == "before" else "after"
        name = draft.inject(rule.source, cell.position, "before" if side == "before" else "after")
        if rule.place == "instead-of":
            _check_unchanged(draft, rule, cell)
            draft.stand_ins += bool(cell.number and not draft.skipped(cell))
            draft.skip(cell)
            draft.note(title, cell, f"{cell} is skipped: {name} runs instead")
        draft.note_injected(title, name, rule.source, f"{rule.place.replace('-', ' ')} {cell}")


def _expected(draft: Draft, rule: Skip | Inject, selector: Selector) -> Sequence[Cell]:
    found = selectors.choose(draft.cells, selector, rule.where)
    if len(found) != rule.expect:
        hint = mismatch.near_selector(draft, selector)
        raise mismatch.error(rule, rule.title, unit="cell", found=found, hint=hint)
    return found
