"""Rules applied to a copy of a notebook, each with the number of matches that it expects."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError
from stepkit.rules import assignments, cells, mismatch, patterns, python_cells, shutdown, subsample
from stepkit.rules.change import Change
from stepkit.rules.draft import Draft
from stepkit.rules.model import (
    AnyRule,
    Book,
    Inject,
    Replace,
    Selector,
    Set,
    Skip,
    Tolerance,
    Variant,
    shortened,
)
from stepkit.rules.tolerances import Tolerances
from stepkit.tools.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepkit.rules.cells import Cell


_PARAMETERS: Final = "parameters"  # papermill puts what --parameters says behind this cell


@dataclass(frozen=True, kw_only=True)
class Patched:
    """A changed copy of a notebook, and what else the variant says.

    ``numbers`` tells each cell's number by its id: in the notebook as it came, so that skipping
    one cell does not give the next ones other numbers. ``names_set`` are the names that rules set
    in the cell tagged parameters, where a parameter would win. ``skipped`` counts the code cells
    that rules took out of the run, and ``runnable`` those that are left, with what was injected
    instead of one; other injected cells and blank ones do not count.
    """

    notebook: Any
    changes: tuple[Change, ...]
    tolerances: Tolerances
    parameters: Mapping[str, Any]
    suffix: str
    numbers: Mapping[str, int]
    names_set: frozenset[str] = frozenset()
    skipped: int = 0
    runnable: int = 0


def apply(
    nb: Any,
    book: Book,
    *,
    variant: str | None = None,
    extra_tolerances: Sequence[Tolerance] = (),
    strip_shutdown: bool = True,
    language: str = "",
) -> Patched:
    """Return a copy of ``nb`` with the rules of ``book`` and of its ``variant`` applied.

    ``language`` is the kernel's, where the notebook does not say it or another one is used.
    Raises :class:`ConfigurationError` when a rule meets something else than it expects.
    """
    chosen = _variant(book, variant) if variant else Variant(suffix="")
    python = (language or _language(nb)).lower() in {"python", "ipython", ""}
    draft = Draft(nb)
    for hook in chosen.hooks:
        _hook(draft, hook, python=python, source=book.source)
    for rule in (*book.rules, *chosen.rules):
        _apply(draft, rule, python=python)
    if strip_shutdown and python:
        _strip_shutdown(draft)
    declared = (*book.tolerate, *chosen.tolerate, *extra_tolerances)
    return Patched(
        notebook=draft.finished(),
        changes=tuple(draft.changes),
        tolerances=Tolerances([(item, _tolerant_cells(draft, item)) for item in declared]),
        parameters=dict(chosen.parameters),
        suffix=chosen.suffix,
        names_set=frozenset(draft.names_set),
        skipped=draft.left_out(),
        runnable=draft.runnable(),
        numbers={cell.id: cell.number for cell in draft.cells if cell.number},
    )


def _variant(book: Book, name: str) -> Variant:
    if name in book.variants:
        return book.variants[name]
    if not book.variants:
        where = (
            f"{book.source} declares none" if book.source else "there is no rules file (--rules)"
        )
        raise ConfigurationError(f"there is no variant {name!r}: {where}")
    hint = did_you_mean(name, book.variants)
    raise ConfigurationError(f"{book.source} has no variant {name!r}{hint}")


def _language(nb: Any) -> str:
    told = nb.metadata.get("kernelspec", {}).get("language")
    return str(told or nb.metadata.get("language_info", {}).get("name") or "")


def _hook(draft: Draft, hook: Any, *, python: bool, source: str) -> None:
    if not python:
        raise ConfigurationError(
            f"{source}: the hook {subsample.NAME} is for Python notebooks, and this is none"
        )
    text = subsample.source(hook)
    name = draft.inject(text, -1, "before")
    draft.changes.append(Change(rule=subsample.NAME, cell=0, id=name, what=subsample.told(hook)))


def _apply(draft: Draft, rule: AnyRule, *, python: bool) -> None:
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
        chosen = cells.choose(draft.cells, rule.cells, rule.where)
        for cell in _running(draft, chosen):
            parsed = python_cells.parse(draft.source(cell))
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
    parsed = python_cells.parse(old)
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
    chosen = cells.choose(draft.cells, rule.cells, rule.where)
    changed, found = [], []
    for cell, (source, number) in _replaced(draft, rule, _running(draft, chosen)):
        if number:
            changed.append((cell, source, number))
            found += [cell] * number
    if len(found) != rule.expect:
        hint = mismatch.near_text(draft, chosen, rule)
        raise mismatch.error(rule, rule.title, unit="place", found=found, hint=hint)
    for cell, source, number in changed:
        if python and python_cells.parse(draft.source(cell)) and not _readable(source):
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
        made = patterns.replaced(rule.old, rule.new, texts, running, re.MULTILINE)
    except ConfigurationError as error:
        raise ConfigurationError(f"{rule.where} ({rule.title}): {error}") from error
    return zip(running, made, strict=True)


def _readable(source: str) -> bool:
    return source.lstrip().startswith("%%") or python_cells.parse(source) is not None


def _inject(draft: Draft, rule: Inject, *, python: bool) -> None:
    if python and not _readable(rule.source):
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
    found = cells.choose(draft.cells, selector, rule.where)
    if len(found) != rule.expect:
        hint = mismatch.near_selector(draft, selector)
        raise mismatch.error(rule, rule.title, unit="cell", found=found, hint=hint)
    return found


def _running(draft: Draft, chosen: Iterable[Cell]) -> list[Cell]:
    """Leave out the cells that do not run: a change there would change nothing."""
    return [cell for cell in chosen if not draft.skipped(cell)]


def _strip_shutdown(draft: Draft) -> None:
    for cell in _running(draft, draft.cells):
        found = shutdown.found(draft.source(cell))
        if found and draft.changed_by(cell):
            what = f"{cell} shuts the kernel down, but a rule changed it: it was left as it is"
            draft.note(shutdown.RULE, cell, what, applied=False)
        elif found == "alone":
            draft.skip(cell)
            draft.note(shutdown.RULE, cell, f"{cell} is skipped: it only shuts the kernel down")
        elif found:
            what = f"{cell} shuts the kernel down and does other things: it was left as it is"
            draft.note(shutdown.RULE, cell, what, applied=False)


def _tolerant_cells(draft: Draft, declared: Tolerance) -> frozenset[str] | None:
    if declared.cell is None:
        return None
    found = cells.choose(draft.cells, declared.cell, declared.where)
    ids = frozenset(cell.id for cell in found)
    if not found:
        hint = mismatch.near_selector(draft, declared.cell)
        raise ConfigurationError(
            f"{declared.where} (tolerate {declared.ename} in {declared.cell}) means no cell: {hint}"
        )
    if sum(cell.id in ids for cell in draft.cells) > len(found):
        raise ConfigurationError(
            f"{declared.where} (tolerate {declared.ename} in {declared.cell}): other cells have "
            f"the same id as {cells.listed(found)}: give each cell an id of its own"
        )
    return ids
