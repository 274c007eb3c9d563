"""Notebooks in a summary: one with its cells, several with a row for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stepkit.formats.durations import elapsed
from stepkit.report import gpu
from stepkit.report.markdown_escape import bold_if_bad, escape, folded, heading, one_line, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepkit.report.steps_of_run import Entry

    Cell = dict[str, Any]

_SLOWEST: Final = 5
_MOST_UNFOLDED: Final = 3  # notebooks; a page of more is not read in a minute
_MOST_CHANGES: Final = 20  # more than these are folded away


def several(entry: Entry) -> Iterator[str]:
    """Yield the section of a step that ran several notebooks."""
    if not entry.notebooks:
        return
    passed, total = entry.passed_notebooks, len(entry.notebooks)
    yield f"## {heading('Notebooks', entry)}: {passed} of {total} passed"
    yield ""
    rows = []
    for item in entry.notebooks:
        ran, cells = item["cells_run"], item["cells_total"]
        until = f" (until {escape(item['until'])})" if item["until"] else ""
        row = (
            escape(item["name"]),
            bold_if_bad(item["status"]),
            "" if ran is None or cells is None else f"{ran} of {cells}",
            elapsed(item["seconds"]) if item["seconds"] else "",
            escape(item["message"]) + until,
        )
        rows.append(row)
    yield from table(("notebook", "status", "cells", "time", "what"), rows)


def each(entries: Sequence[Entry]) -> Iterator[list[str]]:
    """Yield the section of each notebook; of many, those that simply passed are folded away."""
    many = len(entries) > _MOST_UNFOLDED
    for entry in entries:
        lines = list(one(entry))
        if lines and many and entry.status == "succeeded":
            lines = list(folded(f"{escape(entry.name)}: {escape(entry.message)}", lines))
        yield lines


def one(entry: Entry) -> Iterator[str]:
    """Yield the section of one notebook."""
    cells: list[Cell] = entry.output("cells") or []
    if cells:
        yield from _cells(entry, cells)
    if entry.output("changes") or entry.output("variant"):
        if not cells:
            yield f"## {heading('Notebook', entry)}"
        yield ""
        yield from _changes(entry)


def _cells(entry: Entry, cells: list[Cell]) -> Iterator[str]:
    ran, total = entry.output("cells-run"), entry.output("cells-total")
    title = heading("Notebook", entry)
    yield f"## {title}: {escape(str(ran))} of {escape(str(total))} cells ran"
    if failed := [cell for cell in cells if cell["status"] in {"error", "stopped"}]:
        error = _error(failed[0]) if failed[0]["status"] == "error" else ""
        what = f"raised {escape(error)}" if error else "was running when the execution ended"
        yield ""
        yield f"{_name(failed[0])} {what}:"
        yield ""
        yield f"    {one_line(failed[0]['title'])}"
    if tolerated := [cell for cell in cells if cell["status"] == "tolerated"]:
        yield ""
        yield "Tolerated errors:"
        yield ""
        for cell in tolerated:
            reason = escape(cell.get("tolerance", "")) or "no reason is given"
            raised = escape(_error(cell)) or "an error"
            yield f"- {_name(cell)} ({_title(cell)}) raised {raised}: {reason}"
    yield from gpu.lines(entry)
    yield ""
    yield from _slowest(cells)


def _slowest(cells: list[Cell]) -> Iterator[str]:
    timed = sorted((c for c in cells if c["seconds"]), key=lambda c: -c["seconds"])[:_SLOWEST]
    with_peak = any(cell.get("gpu_peak") for cell in timed)
    head = ("slowest cells", "time", *(["GPU peak"] if with_peak else []), "status", "cell")
    rows = []
    for cell in timed:
        number = cell["number"] or ("injected" if cell["injected"] == "rule" else "parameters")
        peak = [gpu.peak(cell)] if with_peak else []
        time, status = elapsed(cell["seconds"]), escape(cell["status"])
        rows.append((str(number), time, *peak, status, _title(cell)))
    yield from table(head, rows)


def _name(cell: Cell) -> str:
    if cell["number"]:
        return f"Cell {cell['number']}"
    by_rule = cell["injected"] == "rule"
    return "A cell injected by a rule" if by_rule else "The cell of injected parameters"


def _error(cell: Cell) -> str:
    error = cell["error"] or {}
    return f"{error.get('ename', '')}: {error.get('evalue', '')}".strip(": ")


def _title(cell: Cell) -> str:
    return escape(f"`{cell['title']}`")


def _changes(entry: Entry) -> Iterator[str]:
    """Yield what differs from the notebook as its owner wrote it."""
    lines = []
    for change in entry.output("changes") or []:
        cell = f"cell {change['cell']}" if change["cell"] else ""
        name = f"({escape(change['id'])})" if change["id"] else ""
        where = " ".join(filter(None, (cell, name)))
        what = ("" if change.get("applied", True) else "not applied: ") + escape(change["what"])
        lines.append(f"- {': '.join(filter(None, (escape(change['rule']), where, what)))}")
    variant = entry.output("variant")
    yield f"### Changed by rules{f' (variant {escape(variant)})' if variant else ''}"
    yield ""
    yield from lines[:_MOST_CHANGES] or ["No cell was changed."]
    if rest := lines[_MOST_CHANGES:]:
        yield ""
        yield from folded(f"{len(rest)} more", rest)
