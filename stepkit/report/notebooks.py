"""Notebooks in a summary: one with its cells, several with a row for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stepkit.formats.durations import elapsed
from stepkit.report import gpu
from stepkit.report.markdown_escape import escape, heading, one_line, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stepkit.report.run_record import Entry

_SLOWEST: Final = 5
_MOST_UNFOLDED: Final = 3  # notebooks; a page of more is not read in a minute
_MOST_CHANGES: Final = 20  # more than these are folded away
_INJECTED_BY_RULE: Final = "stepkit-injected-"  # how the id of such a cell begins
_BAD: Final = {"failed", "cancelled"}


def several(entry: Entry) -> Iterator[str]:
    """Yield the section of a step that ran several notebooks."""
    if not entry.notebooks:
        return
    good = sum(item["status"] in {"passed", "tolerated"} for item in entry.notebooks)
    yield f"## {heading('Notebooks', entry)}: {good} of {len(entry.notebooks)} passed"
    yield ""
    yield from table(("notebook", "status", "cells", "time", "what"), map(_row, entry.notebooks))


def _row(item: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    status = escape(item["status"].replace("-", " "))
    ran, total = item["cells_run"], item["cells_total"]
    cells = "" if ran is None or total is None else f"{ran} of {total}"
    time = elapsed(item["seconds"]) if item["seconds"] else ""
    until = f" (until {escape(item['until'])})" if item["until"] else ""
    shown = f"**{status}**" if item["status"] in _BAD else status
    return escape(item["name"]), shown, cells, time, escape(item["message"]) + until


def each(entries: Sequence[Entry]) -> Iterator[Iterator[str]]:
    """Yield the section of each notebook; of many, those that simply passed are folded away."""
    many = len(entries) > _MOST_UNFOLDED
    for entry in entries:
        yield _folded(entry) if many and entry.status == "succeeded" else one(entry)


def _folded(entry: Entry) -> Iterator[str]:
    lines = list(one(entry))
    if lines:
        yield f"<details><summary>{escape(entry.name)}: {escape(entry.message)}</summary>"
        yield ""
        yield from lines
        yield ""
        yield "</details>"


def one(entry: Entry) -> Iterator[str]:
    """Yield the section of one notebook."""
    cells: list[dict[str, Any]] = entry.output("cells") or []
    if cells:
        yield from _cells(entry, cells)
    if entry.output("changes") or entry.output("variant"):
        if cells:
            yield ""
        else:
            yield f"## {heading('Notebook', entry)}"
            yield ""
        yield from _changes(entry)


def _cells(entry: Entry, cells: list[dict[str, Any]]) -> Iterator[str]:
    ran, total = entry.output("cells-run"), entry.output("cells-total")
    title = heading("Notebook", entry)
    yield f"## {title}: {escape(str(ran))} of {escape(str(total))} cells ran"
    if failed := [cell for cell in cells if cell["status"] in {"error", "stopped"}]:
        yield from _failed_cell(failed[0])
    if tolerated := [cell for cell in cells if cell["status"] == "tolerated"]:
        yield ""
        yield "Tolerated errors:"
        yield ""
        yield from map(_tolerated_cell, tolerated)
    yield from gpu.lines(entry)
    timed = sorted((c for c in cells if c["seconds"]), key=lambda c: -c["seconds"])[:_SLOWEST]
    with_peak = gpu.any_peak(timed)
    yield ""
    head = ("slowest cells", "time", *(["GPU peak"] if with_peak else []), "status", "first line")
    yield from table(head, (_slow_cell(cell, with_peak=with_peak) for cell in timed))


def _slow_cell(cell: dict[str, Any], *, with_peak: bool) -> tuple[str, ...]:
    peak = [gpu.peak(cell)] if with_peak else []
    line = escape(f"`{cell['first_line']}`")
    return _number(cell), elapsed(cell["seconds"]), *peak, escape(cell["status"]), line


def _number(cell: dict[str, Any]) -> str:
    return str(cell["number"] or ("injected" if _by_rule(cell) else "parameters"))


def _by_rule(cell: dict[str, Any]) -> bool:
    """Tell a cell that a rule injected from papermill's with the parameters: both are number 0."""
    return str(cell.get("id", "")).startswith(_INJECTED_BY_RULE)


def _failed_cell(cell: dict[str, Any]) -> Iterator[str]:
    error = _error(cell)
    what = f"raised {escape(error)}" if error else "was running when the execution ended"
    yield ""
    yield f"{_name(cell)} {what}:"
    yield ""
    yield f"    {one_line(cell['first_line'])}"


def _tolerated_cell(cell: dict[str, Any]) -> str:
    reason = escape(cell.get("tolerance", "")) or "no reason is given"
    raised = escape(_error(cell)) or "an error"
    line = escape(f"`{cell['first_line']}`")
    return f"- {_name(cell)} ({line}) raised {raised}: {reason}"


def _name(cell: dict[str, Any]) -> str:
    if cell["number"]:
        return f"Cell {cell['number']}"
    return "A cell injected by a rule" if _by_rule(cell) else "The cell of injected parameters"


def _error(cell: dict[str, Any]) -> str:
    return f"{cell['ename']}: {cell['evalue']}".strip(": ")


def _changes(entry: Entry) -> Iterator[str]:
    """Say what differs from the notebook as its owner wrote it."""
    changes: list[dict[str, Any]] = entry.output("changes") or []
    variant = entry.output("variant")
    yield f"### Changed by rules{f' (variant {escape(variant)})' if variant else ''}"
    yield ""
    if not changes:
        yield "No cell was changed."
    yield from map(_change, changes[:_MOST_CHANGES])
    if rest := changes[_MOST_CHANGES:]:
        yield ""
        yield f"<details><summary>{len(rest)} more</summary>"
        yield ""
        yield from map(_change, rest)
        yield ""
        yield "</details>"


def _change(change: dict[str, Any]) -> str:
    cell = f"cell {change['cell']}" if change["cell"] else ""
    name = f"({escape(change['id'])})" if change["id"] else ""
    where = " ".join(filter(None, (cell, name)))
    left = "" if change.get("applied", True) else "not applied: "
    parts = (escape(change["rule"]), where, left + escape(change["what"]))
    return f"- {': '.join(filter(None, parts))}"
