"""report.html: whether a run passed, why not, where, and what the GPU did, in one file.

A page needs no script and loads nothing, so that it opens from a disk, an archive, a CI server's
artifacts or object storage alike.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from stepkit.report import comparison_text, web_links
from stepkit.report.cell_counts import cell_counts
from stepkit.report.follow_on_failures import follow_on_failures
from stepkit.report.page import (
    device_table,
    failure,
    notebook_table,
    page_limits,
    page_template,
    timeline_chart,
    timeline_file,
    waterfall,
)
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from stepkit.report.page.timeline_file import Timelines
    from stepkit.report.run_json import ArtifactJson, RunJson
    from stepkit.report.run_json_notebook import CellJson, NotebookJson

MOST_BYTES: Final = 1_000_000

_SLOWEST: Final = 10
_PASSED: Final = ("passed", "tolerated", "reused")
_FILES: Final = {
    "Open first": ("page", "notebook"),
    "Tests and data": ("tests", "coverage", "timeline", "data", ""),
    "Logs": ("log",),
}


def render(
    run: RunJson,
    timelines: Timelines,
    *,
    name: str = "report.html",
    part: int | None = None,
    files_at: str = "",
) -> str:
    """Return the page of a run, or with ``part``, that of one of its notebooks, by index.

    ``timelines`` returns the content of a timeline by its path in the record, or None. ``name`` is
    the file name of the run's page, ``files_at`` the address of the record's directory, ``""`` for
    a page that lies there. A page that would be larger than :data:`MOST_BYTES` shows less, and says
    so.
    """
    page = ""
    for detail in page_limits.LEVELS:
        values = _shown(run, detail, timelines, name=name, part=part, files_at=files_at)
        page = page_template.render("report.html.j2", **values)
        if len(page.encode()) <= MOST_BYTES:
            break
    return page


def pages(
    run: RunJson, timelines: Timelines, name: str, files_at: str = ""
) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each page: of the run, and of each notebook of several."""
    yield name, render(run, timelines, name=name, files_at=files_at)
    for index, own in notebook_table.page_names(run["notebooks"], name).items():
        yield own, render(run, timelines, name=name, part=index, files_at=files_at)


def write(run: RunJson, path: Path, directory: Path) -> None:
    """Write the page of a run to ``path``, and those of several notebooks beside it.

    Paths in the record are relative to ``directory``. Raises
    :class:`~stepkit.errors.StepError` when a page cannot be written.
    """
    files_at = web_links.relative_address(directory, path.parent)
    for name, text in pages(run, timeline_file.beside(directory), path.name, files_at):
        atomic_files.write_atomically(path.with_name(name), text)


def _shown(
    run: RunJson,
    detail: page_limits.Detail,
    timelines: Timelines,
    *,
    name: str,
    part: int | None,
    files_at: str,
) -> Mapping[str, Any]:
    """Return the values of the template: what is too long is shortened, and counted."""
    shorten = (shortener := page_limits.Shortener(detail=detail)).shorten
    notebooks = run["notebooks"]
    index = 0 if part is None and len(notebooks) == 1 else part
    notebook = shorten(notebooks[index]) if index is not None else None
    shown: RunJson = shorten({**run, "notebooks": [], "comparison": None})
    found = failure.of_run(run) if part is None else failure.of_notebook(run, part)
    failed = found and replace(
        found,
        cause=shorten(found.cause),
        notebook=notebook if found.notebook and notebook else shorten(found.notebook),
        cell=shorten(found.cell),
    )
    path = notebook["timeline"] if notebook else None
    timeline = timelines(path) if path else None
    names = notebook_table.page_names(notebooks, name)
    several = [] if index is not None else notebooks
    comparison = run["comparison"] if part is None else None
    return {
        "run": shown,
        "name": name,
        "is_part": part is not None,
        "notebook": notebook,
        "verdict": run["verdict"] if part is None else notebooks[part]["status"],
        "headline": shown["headline"]
        if part is None
        else notebooks[part]["status"].replace("-", " "),
        "failed": failed,
        "failed_part": _part_of(failed, names) if part is None else "",
        "excerpt": failure.excerpt(failed.cause["error"]) if failed else None,
        "excerpt_of": failure.excerpt,
        "issue": failure.issue_text(shown, failed) if failed else "",
        "cells": cell_counts(notebooks[index], noun=False) if index is not None else "",
        "follow_on": {suite["step"]: follow_on_failures(run, suite) for suite in run["tests"]},
        "waterfall": waterfall.draw(shown["steps"]),
        "chart": timeline_chart.draw(notebook, timeline, detail.columns) if notebook else None,
        "timeline_lost": bool(path) and timeline is None,
        "slowest": _slowest(notebook),
        "devices": device_table.rows(notebook),
        "entries": shortener.cut(notebook_table.entries(several, name), "notebooks"),
        "passed": sum(n["status"] in _PASSED for n in notebooks),
        "gpu_looked_for": run["environment"]["findings"] or any(n["gpu"] for n in notebooks),
        "flaky": sum(n["status"] == "flaky" for n in notebooks),
        "total": len(notebooks),
        "grid": notebook_table.grid(several, name),
        "comparison": comparison,
        "differences": shortener.cut(comparison_text.rows(comparison), "differences")
        if comparison
        else [],
        "files": _group(shown["artifacts"]),
        "linked": {
            artifact["path"]: files_at + web_links.href(artifact["path"])
            for artifact in run["artifacts"]
            if web_links.is_inside(artifact["path"])
        },
        "data": run if part is None and len(json.dumps(run)) <= detail.data else None,
        "left_out": shortener.note(),
    }


def _part_of(failed: failure.Failure | None, names: Mapping[int, str]) -> str:
    index = failed.cause["notebook"] if failed else None
    return "" if index is None else names.get(index, "")


def _slowest(notebook: NotebookJson | None) -> list[CellJson]:
    """Return the slowest ten cells in order; those below 1 % of the time only if all are."""
    cells = [cell for cell in notebook["cells"] if cell["duration_ms"]] if notebook else []
    whole = sum(_length(cell) for cell in cells)
    long = [cell for cell in cells if _length(cell) >= whole / 100] or cells
    return sorted(long, key=_length, reverse=True)[:_SLOWEST]


def _length(cell: CellJson) -> int:
    return cell["duration_ms"] or 0


def _group(artifacts: Sequence[ArtifactJson]) -> list[tuple[str, list[ArtifactJson]]]:
    """Return artifacts by what a reader wants of them."""
    groups = [
        (title, [a for a in artifacts if a["role"] in roles]) for title, roles in _FILES.items()
    ]
    return [(title, found) for title, found in groups if found]
