"""What to say when a rule meets another notebook than it was written for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from stepkit.errors import ConfigurationError
from stepkit.formats import did_you_mean
from stepkit.notebook import python_source
from stepkit.rules import assignments, selectors
from stepkit.rules.rule import Selector, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.rules.rule import Replace, Rule
    from stepkit.rules.selectors import Cell
    from stepkit.rules.working_copy import Draft


def error(
    rule: Rule, title: str, *, unit: str, found: Sequence[Cell], hint: str
) -> ConfigurationError:
    """Return the error for a rule that matched another number of times than expected.

    ``found`` has a cell once for each match in it.
    """
    number = len(found)
    todo = "correct the rule" if found else "correct the rule or take it out"
    if number > rule.expect:
        kind = "a narrower selector" if rule.kind in {"skip", "inject"} else "cells: {index: N}"
        todo = f"narrow it with {kind}"
    if found:
        todo += f", or give expect: {number} if that is meant"
    return ConfigurationError(
        f"{rule.where} ({title}) expects {rule.expect} {unit}{_s(rule.expect)} and found "
        f"{number}: {_counted(found) if found else hint}; {todo}; nothing was run"
    )


def _counted(found: Sequence[Cell]) -> str:
    """Name the cells with matches, and how many there are in each."""
    times = Counter(found)
    return selectors.listed(list(times), list(times.values()))


def _s(number: int) -> str:
    return "" if number == 1 else "s"


def near_assignment(draft: Draft, chosen: Sequence[Cell], name: str) -> str:
    """Say where else the notebook has ``name``, or a name like it."""
    hints: list[str] = []
    known: dict[str, Cell] = {}
    unread: list[Cell] = []
    for cell in draft.cells:
        parsed = python_source.parse(draft.source(cell))
        if parsed is None:
            unread.append(cell)
            continue
        for assignment in assignments.find(parsed):
            known.setdefault(assignment.name, cell)
            if assignment.name == name and cell not in chosen:
                hints.append(f"{cell} assigns it and is not among the cells")
            elif assignment.name == name and draft.skipped(cell):
                hints.append(f"{cell} assigns it and is skipped")
        if how := assignments.near(parsed, name):
            hints.append(f"in {cell}, {how}")
    if not hints:
        alike = did_you_mean.nearest(name, (key for key in known if key != name))
        hints += [f"the nearest is {alike} in {known[alike]}"] if alike else []
    if unread and not hints:
        hints.append(f"no Python was found in {selectors.listed(unread)}")
    return "; ".join(hints[:3]) or "no cell assigns it"


def near_text(draft: Draft, chosen: Sequence[Cell], rule: Replace) -> str:
    """Say where else the notebook has the text, or a line like it."""
    if rule.regex:
        return f"no cell matches {shortened(rule.old)!r}"
    elsewhere = [cell for cell in draft.cells if rule.old in draft.source(cell)]
    if elsewhere:
        why = "is skipped" if elsewhere[0] in chosen else "is not among the cells"
        return f"{elsewhere[0]} has it and {why}"
    if any(rule.old in cell.source for cell in draft.cells):
        return "an earlier rule has changed it"
    return selectors.near_text(draft.cells, rule.old)


def near_selector(draft: Draft, selector: Selector) -> str:
    """Say which part of the selector means nothing."""
    return selectors.near(draft.cells, selector)
