"""What cudf.pandas and cuml.accel ran on the CPU, below the cells of a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.formats import fallback_text
from stepkit.formats.durations import elapsed
from stepkit.formats.shorten import shorten
from stepkit.report import cpu_fallback_text
from stepkit.report.terminal.words import line_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.report.run_json_notebook import NotebookJson
    from stepkit.report.terminal.paint import Paint

_MOST: Final = 5  # cells
_LEAST: Final = 20  # columns for names


def fallback_lines(notebook: NotebookJson, paint: Paint, *, every: bool) -> Iterator[str]:
    """Yield a sentence, and a line for each cell: the five that took longest, unless ``every``."""
    if not (text := cpu_fallback_text.spelled(notebook)):
        return
    yield shorten(line_of(text), paint.width)
    cells = cpu_fallback_text.cells_on_cpu(notebook)
    for cell in cells if every else cells[:_MOST]:
        if calls := cell["cpu_fallback_calls"]:
            number = str(cell["number"]) if cell["number"] else "+"
            share = fallback_text.percent(cell["cpu_fallback"] or 0)
            part = f"{calls['cpu_calls']} of {calls['calls']} calls"
            columns = f"{number:>5}  {share:>5}  {part}, {elapsed(calls['cpu_ms'] / 1000)}  "
            room = max(paint.width - len(columns), _LEAST)
            yield columns + shorten(line_of(", ".join(cpu_fallback_text.names(cell))), room)
    if not every and len(cells) > _MOST:
        yield paint.faint(f"and {len(cells) - _MOST} more cells: --all shows them")
