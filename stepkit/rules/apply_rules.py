"""Rules applied to a copy of a notebook, each with the number of matches that it expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepkit.errors import ConfigurationError
from stepkit.rules import mismatch, selectors, shutdown_cells, subsample
from stepkit.rules.change_record import Change
from stepkit.rules.edits import edit
from stepkit.rules.tolerances import Tolerances
from stepkit.rules.working_copy import Draft

if TYPE_CHECKING:
    from stepkit.rules.rule import Book, Tolerance


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
    chosen = book.variant(variant)
    python = (language or _language(nb)).lower() in {"python", "ipython", ""}
    draft = Draft(nb)
    for hook in chosen.hooks:
        _hook(draft, hook, python=python, source=book.source)
    for rule in (*book.rules, *chosen.rules):
        edit(draft, rule, python=python)
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


def _strip_shutdown(draft: Draft) -> None:
    for cell in draft.running(draft.cells):
        found = shutdown_cells.found(draft.source(cell))
        if found and draft.changed_by(cell):
            what = f"{cell} shuts the kernel down, but a rule changed it: it was left as it is"
            draft.note(shutdown_cells.RULE, cell, what, applied=False)
        elif found == "alone":
            draft.skip(cell)
            draft.note(
                shutdown_cells.RULE, cell, f"{cell} is skipped: it only shuts the kernel down"
            )
        elif found:
            what = f"{cell} shuts the kernel down and does other things: it was left as it is"
            draft.note(shutdown_cells.RULE, cell, what, applied=False)


def _tolerant_cells(draft: Draft, declared: Tolerance) -> frozenset[str] | None:
    if declared.cell is None:
        return None
    found = selectors.choose(draft.cells, declared.cell, declared.where)
    ids = frozenset(cell.id for cell in found)
    if not found:
        hint = mismatch.near_selector(draft, declared.cell)
        raise ConfigurationError(
            f"{declared.where} (tolerate {declared.ename} in {declared.cell}) means no cell: {hint}"
        )
    if sum(cell.id in ids for cell in draft.cells) > len(found):
        raise ConfigurationError(
            f"{declared.where} (tolerate {declared.ename} in {declared.cell}): other cells have "
            f"the same id as {selectors.listed(found)}: give each cell an id of its own"
        )
    return ids
