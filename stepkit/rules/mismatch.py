"""Explain why a rule does not fit the notebook that it is applied to."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from stepkit.errors import ConfigurationError
from stepkit.formats import did_you_mean
from stepkit.notebook import python_source
from stepkit.rules import assignments, selectors
from stepkit.rules.rule import shorten_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.rules.rule import Replace, Rule
    from stepkit.rules.selectors import Cell
    from stepkit.rules.working_copy import WorkingCopy


def error(
    rule: Rule,
    title: str,
    *,
    unit: str,
    found: Sequence[Cell],
    hint: str,
    searched: Sequence[Cell] | None = None,
) -> ConfigurationError:
    """Return the error for a rule that matched more or fewer times than it expects.

    ``found`` holds a cell once for each match in it; ``hint`` is shown when it is empty, with the
    cells that were ``searched``, if the rule changes what is in them.
    """
    number, times = len(found), Counter(found)
    todo = "correct the rule" if found else "correct the rule or take it out"
    if number > rule.expect:
        kind = "a narrower selector" if rule.kind in {"skip", "inject"} else "cells: {index: N}"
        todo = f"narrow it with {kind}"
    if found:
        todo += f", or give expect: {number} if that is meant"
    plural = "" if rule.expect == 1 else "s"
    where = "" if found or searched is None else f" in {_name_searched(searched)}"
    cells = selectors.name_cells(list(times), list(times.values())) if found else hint
    return ConfigurationError(
        f"{rule.where} ({title}) expects {rule.expect} {unit}{plural} and found {number}{where}: "
        f"{cells}; {todo}; nothing was run"
    )


def _name_searched(cells: Sequence[Cell]) -> str:
    if len(cells) == 1:
        return str(cells[0])
    return f"{len(cells)} cells"


def find_similar_assignment(copy: WorkingCopy, chosen: Sequence[Cell], name: str) -> str:
    """Return where else the notebook assigns ``name``, or a similar name."""
    hints: list[str] = []
    known: dict[str, tuple[Cell, int]] = {}  # with the line, from 1
    unread: list[Cell] = []
    for cell in copy.cells:
        parsed = python_source.parse(copy.source(cell))
        if parsed is None:
            unread.append(cell)
            continue
        for assignment in assignments.find(parsed):
            line = parsed.text.count("\n", 0, assignment.begin) + 1
            known.setdefault(assignment.name, (cell, line))
            if assignment.name == name and cell not in chosen:
                hints.append(f"{cell} assigns it and is not among the cells")
            elif assignment.name == name and copy.skipped(cell):
                hints.append(f"{cell} assigns it and is skipped")
        if how := assignments.find_other_binding(parsed, name):
            hints.append(f"in {cell}, {how}")
    if not hints:
        alike = did_you_mean.nearest(name, (key for key in known if key != name))
        if alike:
            cell, line = known[alike]
            hints.append(f"the nearest is {alike} in {cell.named_by(line)}")
    if unread and not hints:
        hints.append(f"no Python was found in {selectors.name_cells(unread)}")
    return "; ".join(hints[:3]) or "no cell assigns it"


def find_similar_text(copy: WorkingCopy, chosen: Sequence[Cell], rule: Replace) -> str:
    """Return where else the notebook has the text of ``rule``, or a similar line."""
    if rule.regex:
        return f"no cell matches {shorten_line(rule.old)!r}"
    elsewhere = [cell for cell in copy.cells if rule.old in copy.source(cell)]
    if elsewhere:
        why = "is skipped" if elsewhere[0] in chosen else "is not among the cells"
        return f"{elsewhere[0]} has it and {why}"
    if any(rule.old in cell.source for cell in copy.cells):
        return "an earlier rule has changed it"
    return selectors.find_similar_line(copy.cells, rule.old)
