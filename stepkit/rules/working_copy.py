"""The copy of a notebook that rules change, and the record of each change."""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, Literal

from stepkit.notebook.cell_numbers import (
    INJECTED_BY_RULE,
    RAISES_TAG,
    SKIP_TAG,
    SKIPPED_BY_RULE,
    tags,
)
from stepkit.notebook.cell_title import title
from stepkit.rules import Change
from stepkit.rules.selectors import Cell, code_cells

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

_IDS_SINCE: Final = 5  # nbformat 4.5


class WorkingCopy:
    """The copy, its code cells before any change, and the changes so far.

    ``cells`` and the cells passed to the methods are those of the original notebook.
    """

    def __init__(self, nb: Any) -> None:
        self.notebook = copy.deepcopy(nb)
        self.cells: Sequence[Cell] = code_cells(nb)
        self.changes: list[Change] = []
        self.names_set: set[str] = set()  # by rules, in the parameters cell
        self.stand_ins = 0  # cells that were injected instead of one of the notebook's own
        self._changed: dict[int, str] = {}
        self._ids = {str(cell.get("id", "")) for cell in nb.cells}
        self._beside: defaultdict[tuple[int, str], list[Any]] = defaultdict(list)

    def source(self, cell: Cell) -> str:
        """Return the cell's current source."""
        return str(self.notebook.cells[cell.position].source)

    def skipped(self, cell: Cell) -> bool:
        """Return whether the cell is left out of the run."""
        return SKIP_TAG in tags(self.notebook.cells[cell.position])

    def running(self, cells: Iterable[Cell]) -> list[Cell]:
        """Return those of ``cells`` that run: a change of the others would have no effect."""
        return [cell for cell in cells if not self.skipped(cell)]

    def set_source(self, cell: Cell, source: str, rule: str) -> None:
        """Replace the cell's source; ``rule`` names the rule that says so.

        A cell that becomes blank is left out of the run.
        """
        self.notebook.cells[cell.position].source = source
        if not source.strip():
            self.skip(cell)
        self._changed[cell.position] = rule

    def changed_by(self, cell: Cell) -> str:
        """Return the name of the last rule that changed the cell's source, or ``""``."""
        return self._changed.get(cell.position, "")

    def ends_with(self, cells: Collection[Cell]) -> list[Cell]:
        """Return those of ``cells`` after which no other code runs."""
        added = (at if side == "after" else at - 1 for at, side in self._beside)
        running = (cell for cell in self.running(self.cells) if self.source(cell).strip())
        own = (cell.position for cell in running if cell not in cells)
        last = max((*added, *own), default=-1)
        return [cell for cell in cells if cell.position > last]

    def count_skipped(self) -> int:
        """Count the cells that rules took out of the run."""
        return sum(1 for cell in self.cells if cell.number and self.skipped(cell))

    def count_runnable(self) -> int:
        """Count the notebook's own cells that still run, and the injected cells in place of one."""
        own = (c for c in self.cells if c.number and not self.skipped(c))
        return self.stand_ins + sum(1 for cell in own if self.source(cell).strip())

    def skip(self, cell: Cell) -> None:
        """Leave the cell out of the run."""
        if not self.skipped(cell):
            node = self.notebook.cells[cell.position]
            node.metadata["tags"] = [*tags(node), SKIP_TAG, SKIPPED_BY_RULE]

    def expect_error(self, cell: Cell) -> None:
        """Go on with the run if the cell raises an error."""
        node = self.notebook.cells[cell.position]
        node.metadata["tags"] = [*tags(node), RAISES_TAG]

    def inject(self, source: str, position: int, side: Literal["before", "after"]) -> str:
        """Add a code cell beside the cell at ``position`` and return its id.

        Cells that several rules add on one side of a cell keep the order of the rules.
        """
        import nbformat

        number = 1
        while f"stepkit-injected-{number}" in self._ids:
            number += 1
        name = f"stepkit-injected-{number}"
        self._ids.add(name)
        new = nbformat.v4.new_code_cell(source, id=name, metadata={"tags": [INJECTED_BY_RULE]})
        if (self.notebook.nbformat, self.notebook.nbformat_minor) < (4, _IDS_SINCE):
            del new["id"]
        self._beside[position, side].append(new)
        return name

    def record(self, rule: str, cell: Cell, what: str, *, applied: bool = True) -> None:
        """Record what was done to one of the notebook's own cells."""
        self.changes.append(
            Change(rule=rule, cell=cell.number, id=cell.id, what=what, applied=applied)
        )

    def record_injected(self, rule: str, name: str, source: str, where: str) -> None:
        """Record a cell that was added."""
        what = f"a cell `{title(source)}` was added {where}"
        self.changes.append(Change(rule=rule, cell=0, id=name, what=what))

    def finish(self) -> Any:
        """Put the added cells in their places and return the copy."""
        last = len(self.notebook.cells)
        cells = [*self._beside[-1, "before"]]
        for position, cell in enumerate(self.notebook.cells):
            around = self._beside
            cells += [*around[position, "before"], cell, *around[position, "after"]]
        self.notebook.cells = [*cells, *self._beside[last, "after"]]
        return self.notebook
