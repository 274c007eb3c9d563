"""What a rule did to a cell, as reports tell it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that was done to a cell, or with ``applied`` false that was left, and why.

    ``cell`` is its number in the notebook as it came, as messages count: from 1, without blank
    cells and those tagged skip-execution. It is 0 for those and for an injected cell.
    """

    rule: str
    cell: int
    id: str
    what: str
    applied: bool = True
