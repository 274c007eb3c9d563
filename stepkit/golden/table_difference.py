"""Compare outputs in HTML: tables cell by cell, and the text around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.golden import html_tables, text_difference
from stepkit.golden.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.golden.finding import Tally
    from stepkit.golden.html_tables import Cell
    from stepkit.golden.limits import Limits

_MOST: Final = 10  # cells that a difference lists
_Row = list["Cell"]


def compare(golden: str, new: str, limits: Limits, tally: Tally) -> Finding | None:
    """Return how a page in HTML differs from the golden one, None if it does not."""
    if golden == new:
        return None
    was, now = html_tables.read(golden), html_tables.read(new)
    if len(was.tables) != len(now.tables):
        return Finding(message=f"{len(now.tables)} tables, and not {len(was.tables)}")
    for before, after in zip(was.tables, now.tables, strict=True):
        if found := _table(before, after, limits, tally):
            return found
    return text_difference.compare(was.text, now.text, limits, tally)


def _table(was: list[_Row], now: list[_Row], limits: Limits, tally: Tally) -> Finding | None:
    """Compare two tables; columns are named by the last row of headers, rows by their first."""
    if _shape(was) != _shape(now) or [len(row) for row in was] != [len(row) for row in now]:
        message = f"a table of {_shape(now)}, and not {_shape(was)}"
        added = f"{_heads(was)}\n", f"{_heads(now)}\n"
        return Finding(message=message, golden=added[0], new=added[1])
    columns = next((row for row in reversed(was) if all(cell.head for cell in row)), [])
    messages, count = [], 0
    lines: tuple[list[str], list[str]] = [], []
    for number, (before, after) in enumerate(zip(was, now, strict=True), 1):
        for place, (old, cell) in enumerate(zip(before, after, strict=True)):
            found = text_difference.compare(old.text, cell.text, limits, tally)
            if not found:
                continue
            count += 1
            if count <= _MOST:
                where = _name(before, place, number, columns)
                messages.append(f"{where}: {found.message}")
                lines[0].append(f"{where}: {old.text}")
                lines[1].append(f"{where}: {cell.text}")
    if not count:
        return None
    more = f", and {count - 1} other cell{'s' if count > 2 else ''}" if count > 1 else ""  # noqa: PLR2004
    rest = [f"... {count - _MOST} more cells"] if count > _MOST else []
    return Finding(
        message=f"{messages[0]}{more}",
        golden="\n".join(lines[0] + rest),
        new="\n".join(lines[1] + rest),
    )


def _shape(table: Sequence[_Row]) -> str:
    return f"{len(table)} rows and {max(map(len, table), default=0)} columns"


def _heads(table: Sequence[_Row]) -> str:
    return " | ".join(cell.text for cell in table[0]) if table else ""


def _name(row: _Row, place: int, number: int, columns: _Row) -> str:
    """Name a cell: ``column score, row 3``; a cell that spans rows leaves later rows shorter."""
    column = columns[place - len(row)].text if len(columns) >= len(row) else ""
    label = row[0].text if row[0].head and place else ""
    return f"column {column or place + 1}, row {label or number}"
