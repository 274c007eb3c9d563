"""Apply rules to a copy of a notebook and check that each matches as often as it expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from stepkit.errors import ConfigurationError
from stepkit.formats import json_schema
from stepkit.notebook import nbval_markers
from stepkit.rules import Change, selectors, shutdown_cells, subsample
from stepkit.rules.edits import edit
from stepkit.rules.rule import Set
from stepkit.rules.tolerances import NOT_FOR_AUTHORS, Tolerances
from stepkit.rules.working_copy import WorkingCopy

if TYPE_CHECKING:
    from stepkit.rules.rule import AnyRule, Book, Tolerance, Variant


@dataclass(frozen=True, kw_only=True)
class Patched:
    """A changed copy of a notebook, and the parameters and suffix of the variant.

    ``names_set`` are the names that rules set in the cell tagged parameters, where a parameter
    would win. ``skipped`` counts the code cells that rules took out of the run. ``runnable`` counts
    the remaining ones and the cells injected in place of one; other injected cells and blank cells
    are not counted.
    """

    notebook: Any
    changes: tuple[Change, ...]
    tolerances: Tolerances
    parameters: Mapping[str, Any]
    suffix: str
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
    follow_markers: bool = False,
) -> Patched:
    """Return a copy of ``nb`` with the rules of ``book`` and of its ``variant`` applied.

    ``language`` is the kernel's and wins over the one that the notebook's metadata name. With
    ``follow_markers``, cells are skipped and may fail as nbval's markers say.
    Raises :class:`ConfigurationError` when a rule matches more or fewer times than it expects, or
    when the rules tolerate an error and must not.
    """
    chosen = book.variant(variant)
    language = (
        language
        or nb.metadata.get("kernelspec", {}).get("language")
        or nb.metadata.get("language_info", {}).get("name")
        or "python"
    )
    python = str(language).lower() in {"python", "ipython"}
    copy = WorkingCopy(nb)
    for hook in chosen.hooks:
        if not python:
            raise ConfigurationError(
                f"{book.source}: the hook {subsample.NAME} is for Python notebooks, and this is "
                "not one"
            )
        added = copy.inject(subsample.source(hook), -1, "before")
        copy.changes.append(
            Change(rule=subsample.NAME, cell=0, id=added, what=subsample.describe(hook))
        )
    _edit_all(copy, (*book.rules, *chosen.rules), python=python)
    if follow_markers:
        _follow_markers(copy)
    if strip_shutdown and python:
        _strip_shutdown(copy)
    declared = (*_own_tolerances(book, chosen), *extra_tolerances)
    skipped, runnable = copy.count_skipped(), copy.count_runnable()  # finish() moves the cells
    return Patched(
        notebook=copy.finish(),
        changes=tuple(copy.changes),
        tolerances=Tolerances([(item, _tolerant_cells(copy, item)) for item in declared]),
        parameters=dict(chosen.parameters),
        suffix=chosen.suffix,
        names_set=frozenset(copy.names_set),
        skipped=skipped,
        runnable=runnable,
    )


def _edit_all(copy: WorkingCopy, rules: Sequence[AnyRule], *, python: bool) -> None:
    """Apply ``rules`` in their order; the error names all that do not fit the notebook."""
    wrong = []
    for rule in rules:
        parts: Sequence[AnyRule] = [rule]
        if isinstance(rule, Set) and python:
            parts = [replace(rule, values={name: value}) for name, value in rule.values.items()]
        for part in parts:
            try:
                edit(copy, part, python=python)
            except ConfigurationError as error:
                wrong.append(str(error))
    if wrong:
        raise json_schema.refusal(wrong)


def _own_tolerances(book: Book, chosen: Variant) -> tuple[Tolerance, ...]:
    """Return the tolerances of a rules file, unless it is not for its authors to tolerate."""
    declared = (*book.tolerate, *chosen.tolerate)
    if declared and not book.may_tolerate:
        where = f"{declared[0].where} (tolerate {declared[0].ename})"
        raise ConfigurationError(f"{where}: {NOT_FOR_AUTHORS}")
    return declared


def _follow_markers(copy: WorkingCopy) -> None:
    for cell in copy.running(copy.cells):
        marked = nbval_markers.markers(copy.notebook.cells[cell.position])
        if "skip" in marked:
            copy.skip(cell)
            copy.record(nbval_markers.RULE, cell, f"{cell} is skipped: NBVAL_SKIP")
        elif "raises-exception" in marked:
            copy.expect_error(cell)
            what = f"{cell} may raise an error: NBVAL_RAISES_EXCEPTION"
            copy.record(nbval_markers.RULE, cell, what)


def _strip_shutdown(copy: WorkingCopy) -> None:
    """Skip the last cells if they only shut the kernel down; report others that shut it down."""
    running = copy.running(copy.cells)
    found = {c: how for c in running if (how := shutdown_cells.find(copy.source(c)))}
    alone = [c for c, how in found.items() if how == "alone" and not copy.changed_by(c)]
    last = copy.ends_with(alone)
    for cell in found:
        if cell in last:
            copy.skip(cell)
            what = f"{cell} is skipped: it only shuts the kernel down"
            copy.record(shutdown_cells.RULE, cell, what)
            continue
        why = "and does other things"
        if copy.changed_by(cell):
            why = "and a rule changed it"
        elif cell in alone:
            why = "before the last cell"
        what = f"{cell} shuts the kernel down {why}: it was left as it is"
        copy.record(shutdown_cells.RULE, cell, what, applied=False)


def _tolerant_cells(copy: WorkingCopy, declared: Tolerance) -> frozenset[str] | None:
    """Return the ids of the cells whose errors ``declared`` covers; None means all cells."""
    if declared.cell is None:
        return None
    found = selectors.choose(copy.cells, declared.cell, declared.where)
    ids = frozenset(cell.id for cell in found)
    if not found:
        hint = selectors.explain(copy.cells, declared.cell)
        raise ConfigurationError(
            f"{declared.where} (tolerate {declared.ename} in {declared.cell}) means no cell: {hint}"
        )
    if sum(cell.id in ids for cell in copy.cells) > len(found):
        raise ConfigurationError(
            f"{declared.where} (tolerate {declared.ename} in {declared.cell}): other cells have "
            f"the same id as {selectors.name_cells(found)}: give each cell its own id"
        )
    return ids
