"""The cells of a notebook as a table: how long each took, what memory it had, how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.formats import sizes
from stepkit.formats.durations import elapsed
from stepkit.formats.shorten import shorten
from stepkit.report import gpu_use

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepkit.report.run_json_notebook import CellJson, NotebookJson
    from stepkit.report.terminal.paint import Paint

_MOST: Final = 40  # cells that are all shown
_SLOWEST: Final = 15  # that are shown of more, besides those that did not end well
_BAR: Final = 12  # columns
_LEAST_TITLE: Final = 12  # columns
_WIDE: Final = 100  # columns, with room for another figure
_WELL: Final = {"ok", "expected-error"}
_NONE: Final = "-"


def cell_table(notebook: NotebookJson, paint: Paint, *, every: bool) -> Iterator[str]:
    """Yield the table; of a long notebook the slowest cells and the bad ones, unless ``every``."""
    cells = notebook["cells"]
    shown = cells if every or len(cells) <= _MOST else _chosen(cells)
    longest = max((cell["duration_ms"] or 0 for cell in cells), default=0) or 1
    total = sum(cell["duration_ms"] or 0 for cell in cells) or 1
    with_gpu = any(cell["gpu_peak"] is not None for cell in cells)
    wide = paint.width >= _WIDE
    with_idle = wide and any((cell["gpu_idle"] or 0) >= gpu_use.IDLE_CELL for cell in cells)
    gpu = (f"{'GPU':>10}" if with_gpu else "") + (f"{'idle':>7}" if with_idle else "")
    yield paint.faint(f"{'cell':>5}  {'time':>7}  {'':<{_BAR}}  share{gpu}{'memory':>11}")
    for cell in shown:
        number = str(cell["number"]) if cell["number"] else "+"
        taken = cell["duration_ms"]
        time = elapsed(taken / 1000) if taken is not None else _NONE
        bar = paint.bar(0, (taken or 0) / longest, _BAR).ljust(_BAR)
        share = f"{100 * taken / total:4.0f}%" if taken is not None else f"{_NONE:>5}"
        gpu = f"{_size(cell['gpu_peak']):>10}" if with_gpu else ""
        gpu += f"{gpu_use.percent(cell['gpu_idle']) or _NONE:>7}" if with_idle else ""
        columns = f"{number:>5}  {time:>7}  {bar}  {share}{gpu}{_size(cell['rss_peak']):>11}  "
        room = max(paint.width - len(columns), _LEAST_TITLE)
        yield columns + _title(cell, paint, room)
    if rest := len(cells) - len(shown):
        yield paint.faint(f"{rest} more cells, all of them quicker or not run: --all shows them")


def _chosen(cells: Sequence[CellJson]) -> list[CellJson]:
    """Return the cells that did not end well, the first of those that did not run, the slowest."""
    by_time = sorted(range(len(cells)), key=lambda place: -(cells[place]["duration_ms"] or 0))
    chosen = set(by_time[:_SLOWEST])
    not_run = [place for place, cell in enumerate(cells) if cell["status"] == "not-run"]
    others = _WELL | {"not-run"}
    chosen |= {place for place, cell in enumerate(cells) if cell["status"] not in others}
    chosen |= set(not_run[:1])
    return [cells[place] for place in sorted(chosen)]


def _title(cell: CellJson, paint: Paint, room: int) -> str:
    status, title = cell["status"], cell["title"]
    if cell["injected"]:
        title = f"(injected {cell['injected']}) {title}"
    if status == "ok":
        return shorten(title, room)
    label = f"{status.replace('-', ' ')}: "
    return paint.state(status, label) + shorten(title, max(room - len(label), _LEAST_TITLE))


def _size(size: int | None) -> str:
    return _NONE if size is None else sizes.spell(size)
