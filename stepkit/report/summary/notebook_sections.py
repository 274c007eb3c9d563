"""Notebooks in a summary: one with its cells, several as a table with a row or place for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.formats.durations import elapsed
from stepkit.report import gpu_use
from stepkit.report.cell_counts import cell_counts
from stepkit.report.summary import attempt_lines, fallback_table, golden_lines, gpu_lines
from stepkit.report.summary.checkout_name import name_checkout
from stepkit.report.summary.evidence_block import evidence
from stepkit.report.summary.markdown_text import (
    code,
    count,
    escape,
    folded,
    paragraphs,
    status,
    table,
    title,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepkit.report.run_json import RunJson
    from stepkit.report.run_json_notebook import CellJson, ErrorJson, NotebookJson
    from stepkit.report.summary.file_links import FileLinks

STOPPED: Final = "was running when the execution ended"
PASSED: Final = ("passed", "tolerated", "reused")
_WORST_FIRST: Final = ("failed", "cancelled", "not-run", "flaky", "tolerated")
_MOST_ROWS: Final = 100
_SLOWEST: Final = 5
_MOST_TOLERATED: Final = 50
_MOST_CHANGES: Final = 20  # more than these are folded away
_MOST_PACKAGES: Final = 8  # more than these are folded away


def worst_first(notebooks: Sequence[NotebookJson]) -> list[NotebookJson]:
    """Return notebooks in the order in which a reader wants them."""
    order = {word: place for place, word in enumerate(_WORST_FIRST)}
    return sorted(notebooks, key=lambda notebook: order.get(notebook["status"], len(order)))


def several(notebooks: Sequence[NotebookJson], links: FileLinks) -> Iterator[str]:
    """Yield the table of several notebooks: by variant where each of them ran in several."""
    passed = sum(notebook["status"] in PASSED for notebook in notebooks)
    flaky = sum(notebook["status"] == "flaky" for notebook in notebooks)
    yield f"## Notebooks: {passed} of {len(notebooks)} passed{f', {flaky} flaky' if flaky else ''}"
    yield ""
    variants = list(dict.fromkeys(notebook["variant"] for notebook in notebooks))
    names = list(dict.fromkeys(notebook["name"] for notebook in notebooks))
    if len(variants) > 1 and len(names) < len(notebooks):
        yield from _grid(notebooks, names[:_MOST_ROWS], variants, links)
        left = len(names) - _MOST_ROWS
    else:
        yield from _list(worst_first(notebooks)[:_MOST_ROWS], links)
        left = len(notebooks) - _MOST_ROWS
    if left > 0:
        yield ""
        yield f"and {count(left, 'more notebook')}"


def _grid(
    notebooks: Sequence[NotebookJson], names: list[str], variants: list[str], links: FileLinks
) -> Iterator[str]:
    places: dict[tuple[str, str], list[str]] = {}
    for notebook in notebooks:
        time = "" if notebook["duration_ms"] is None else f" {_time(notebook)}"
        shown = links.link(status(notebook["status"]), notebook["page"]) + time
        places.setdefault((notebook["name"], notebook["variant"]), []).append(shown)
    head = ("notebook", *(title(variant) if variant else "no variant" for variant in variants))
    yield from table(
        head,
        (
            (title(name), *(", ".join(places.get((name, variant), ())) for variant in variants))
            for name in names
        ),
    )


def _list(notebooks: Sequence[NotebookJson], links: FileLinks) -> Iterator[str]:
    figures = {
        "GPU peak": [gpu_lines.memory(notebook["gpu_peak"] or None) for notebook in notebooks],
        "GPU idle": [_idle(notebook) for notebook in notebooks],
        "on the CPU": [fallback_table.share(notebook) for notebook in notebooks],
    }
    known = {name: column for name, column in figures.items() if any(column)}
    rows = []
    for place, notebook in enumerate(notebooks):
        ran, total = notebook["cells_run"], notebook["cells_total"]
        until = f" (until {escape(notebook['until'])})" if notebook["until"] else ""
        row = (
            links.link(named(notebook), notebook["page"]),
            status(notebook["status"]),
            "" if ran is None or total is None else f"{ran} of {total}",
            _time(notebook),
            *(column[place] for column in known.values()),
            escape(notebook["message"]) + until,
        )
        rows.append(row)
    yield from table(("notebook", "status", "cells", "time", *known, "what"), rows)


def one(run: RunJson, notebook: NotebookJson, links: FileLinks) -> list[str]:
    """Return the section of one notebook: nothing if its report says nothing of its cells."""
    known = notebook["cells"] or notebook["changes"] or notebook["attempts"][1:]
    if not (known or notebook["variant"]):
        return []
    name = named(notebook) if len(run["notebooks"]) > 1 else "Notebook" + _variant(notebook)
    counts = cell_counts(notebook)
    how = f": {counts}" if counts else ""
    return paragraphs(
        [f"## {name}{how}"],
        _failed(run, notebook, links),
        _tolerated(notebook, links),
        golden_lines.lines(notebook, links),
        attempt_lines.lines(notebook, links),
        gpu_lines.lines(notebook),
        fallback_table.lines(notebook, links),
        _slowest(notebook, links),
        _packages(notebook),
        _changes(run, notebook),
    )


def summed_up(notebook: NotebookJson) -> str:
    """Name a notebook and how it ended, as plain text."""
    variant = f" ({notebook['variant']})" if notebook["variant"] else ""
    return f"{notebook['name']}{variant}: {notebook['message'] or notebook['status']}"


def _failed(run: RunJson, notebook: NotebookJson, links: FileLinks) -> list[str]:
    """Show the cell that failed, unless it is the cause that stands on top of the page."""
    bad = [cell for cell in notebook["cells"] if cell["status"] in {"error", "stopped"}]
    cause = run["cause"]
    on_top = cause and cause["notebook"] is not None and cause["cell"] is not None
    if not bad or (on_top and cause and run["notebooks"][cause["notebook"] or 0] is notebook):
        return []
    cell = bad[0]
    error = escape(raised(cell["error"]))
    what = f"raised {error}" if error else STOPPED
    shown = evidence(cell["error"]) if cell["error"] else []
    sentence = f"{links.cell(cell_name(cell), notebook, cell)} ({code(cell['title'])}) {what}"
    return paragraphs([f"{sentence}:" if shown else sentence], shown)


def _tolerated(notebook: NotebookJson, links: FileLinks) -> list[str]:
    found = [cell for cell in notebook["cells"] if cell["status"] == "tolerated"]
    lines = []
    for cell in found[:_MOST_TOLERATED]:
        reason = escape(cell["tolerance"]) or "no reason is given"
        error = escape(raised(cell["error"])) or "an error"
        name = links.cell(cell_name(cell), notebook, cell)
        lines.append(f"- {name} ({code(cell['title'])}) raised {error}: {reason}")
    if rest := found[_MOST_TOLERATED:]:
        lines.append(f"- and {len(rest)} more")
    return paragraphs(["Tolerated errors:"], lines) if lines else []


def _slowest(notebook: NotebookJson, links: FileLinks) -> Iterator[str]:
    timed = [cell for cell in notebook["cells"] if cell["duration_ms"]]
    total = sum(cell["duration_ms"] or 0 for cell in timed)
    shown = sorted(timed, key=lambda cell: -(cell["duration_ms"] or 0))[:_SLOWEST]
    if not shown:
        return
    columns = {
        "slowest cells": [links.cell(_short_name(cell), notebook, cell) for cell in shown],
        "time": [elapsed((cell["duration_ms"] or 0) / 1000) for cell in shown],
        "share": [f"{100 * (cell['duration_ms'] or 0) / total:.0f} %" for cell in shown],
        "GPU peak": [gpu_lines.memory(cell["gpu_peak"] or None) for cell in shown],
        "GPU idle": [_idle(cell) for cell in shown],
        "memory": [gpu_lines.memory(cell["rss_peak"]) for cell in shown],
        "status": ["" if cell["status"] == "ok" else status(cell["status"]) for cell in shown],
        "code": [code(cell["title"]) for cell in shown],
    }
    filled = {name: column for name, column in columns.items() if any(column)}
    yield from table(list(filled), zip(*filled.values(), strict=True))


def _idle(ran: CellJson | NotebookJson) -> str:
    """Return how long the GPUs were idle, if it was most of the time."""
    idle = ran["gpu_idle"]
    return gpu_use.percent(idle) if idle is not None and idle >= gpu_use.IDLE_CELL else ""


def _packages(notebook: NotebookJson) -> Iterator[str]:
    kernel = notebook["kernel"]
    if kernel is None:
        return
    packages = [title(f"{name} {version}") for name, version in kernel["packages"].items()]
    first, rest = packages[:_MOST_PACKAGES], packages[_MOST_PACKAGES:]
    said = {
        "packages": ", ".join(first) + (f" and {len(rest)} more" if rest else ""),
        "Python": escape(kernel["python"]),
        "CUDA runtime": escape(kernel["cuda_runtime"]),
        "the driver serves CUDA": escape(kernel["cuda_driver"]),
    }
    if known := [f"{name} {text}" for name, text in said.items() if text]:
        yield f"In the notebook's kernel: {'; '.join(known)}."
    if rest:
        yield ""
        yield from folded(count(len(rest), "more package"), [", ".join(rest)])


def _changes(run: RunJson, notebook: NotebookJson) -> list[str]:
    """Return what differs from the notebook as its owner wrote it, and by whose rules."""
    if not notebook["changes"] and not notebook["variant"] and not notebook["rules"]:
        return []
    lines = []
    for change in notebook["changes"]:
        cell = f"cell {change['cell']}" if change["cell"] else ""
        name = f"({escape(change['id'])})" if change["id"] else ""
        where = " ".join(filter(None, (cell, name)))
        what = ("" if change["applied"] else "not applied: ") + escape(change["what"])
        lines.append(f"- {': '.join(filter(None, (escape(change['rule']), where, what)))}")
    rest = lines[_MOST_CHANGES:]
    return paragraphs(
        [f"### Changed by rules{_variant(notebook, 'variant ')}"],
        _rules(run, notebook),
        lines[:_MOST_CHANGES] or ["No cell was changed."],
        folded(f"{len(rest)} more", rest) if rest else (),
    )


def _rules(run: RunJson, notebook: NotebookJson) -> list[str]:
    rules = notebook["rules"]
    if rules is None:
        return []
    where = ", which is in no repository of this run"
    for index, repository in enumerate(run["repositories"]):
        if index == rules["repository"]:
            where = f" in {name_checkout(repository)}"
    return [f"The rules are those of {code(rules['in_repository'])}{where}."]


def named(notebook: NotebookJson) -> str:
    """Return the name of one notebook of several, with its variant."""
    return title(notebook["name"]) + _variant(notebook)


def cell_name(cell: CellJson) -> str:
    """Name a cell at the beginning of a sentence."""
    if cell["number"]:
        return f"Cell {cell['number']}"
    by_rule = cell["injected"] == "rule"
    return "A cell injected by a rule" if by_rule else "The cell of injected parameters"


def raised(error: ErrorJson | None) -> str:
    """Return an error in one line, as Python spells it."""
    return f"{error['ename']}: {error['evalue']}".strip(": ") if error else ""


def _short_name(cell: CellJson) -> str:
    return str(cell["number"] or ("injected" if cell["injected"] == "rule" else "parameters"))


def _variant(notebook: NotebookJson, word: str = "") -> str:
    return f" ({word}{escape(notebook['variant'])})" if notebook["variant"] else ""


def _time(notebook: NotebookJson) -> str:
    return "" if notebook["duration_ms"] is None else elapsed(notebook["duration_ms"] / 1000)
