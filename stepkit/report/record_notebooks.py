"""The notebooks of a run as run.json holds them, from the reports of the steps that ran them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, get_args

from stepkit.report import changed_cells, gpu_use, unchecked_values
from stepkit.report.record_cells import record_cells
from stepkit.report.record_cpu_fallback import record_cpu_fallback
from stepkit.report.record_error import record_error
from stepkit.report.record_golden import record_golden
from stepkit.report.run_clock import length
from stepkit.report.run_json_notebook import NotebookStatus
from stepkit.report.steps_of_run import Entry

if TYPE_CHECKING:
    from stepkit.report.record_checkouts import Checkouts
    from stepkit.report.run_clock import RunClock
    from stepkit.report.run_json_notebook import (
        AttemptJson,
        KernelJson,
        NotebookJson,
        RulesJson,
    )
    from stepkit.report.run_paths import RunPaths
    from stepkit.report.steps_of_run import Run

_STATUSES: Final[Mapping[str, NotebookStatus]] = {
    "succeeded": "passed",
    "tolerated": "tolerated",
    "flaky": "flaky",
    "failed": "failed",
    "cancelled": "cancelled",
    "not run": "not-run",
    "reused": "reused",
}
_KNOWN: Final = frozenset(get_args(NotebookStatus))
_BAD: Final = frozenset({"failed", "cancelled"})
_SUFFIX: Final = ".ipynb"


@dataclass(frozen=True)
class Source:
    """Where a notebook comes from.

    ``entry`` is its report, or the step of that name without one. ``item`` is what the step that
    ran several says of it, and ``step`` is the name of the step that ran it.
    """

    step: str
    entry: Entry
    item: Mapping[str, Any] = field(default_factory=dict)


def sources(run: Run) -> list[Source]:
    """Return the notebooks of ``run`` in its order, also those that left no report."""
    own = {entry.name: entry for entry in run.of_section("notebook")}
    planned = {_stem(item) for entry in run.entries for item in entry.notebooks}
    nothing = Entry(name="", status="")
    found = []
    for entry in run.entries:
        found += [Source(entry.name, own.get(_stem(i), nothing), i) for i in entry.notebooks]
        left_no_outputs = not entry.data and entry.name.endswith(_SUFFIX)
        if entry.name not in planned and (entry.name in own or left_no_outputs):
            found.append(Source(entry.name, entry))
    return found


def _stem(item: Mapping[str, Any]) -> str:
    """Return the name of the report of a notebook of several."""
    return PurePosixPath(item["report"] or "").stem


def record_notebook(
    source: Source,
    clock: RunClock,
    paths: RunPaths,
    pages: Mapping[str, str],
    checkouts: Checkouts,
) -> NotebookJson:
    """Return one notebook; ``pages`` are those that other steps made, by the path of a notebook."""
    entry, item = source.entry, source.item
    reused = entry.reused
    clock = clock.moved(reused["started"], entry.started) if reused else clock
    status = _status(source)
    given = entry.option("notebook") or item.get("path") or entry.name
    path = paths.shown(given) or unchecked_values.line(item.get("name"))
    repository, in_repository = checkouts.place(path)
    executed = paths.shown(entry.output("notebook"))
    cells = record_cells(entry, clock)
    total = unchecked_values.whole(_first(entry.output("cells-total"), item.get("cells_total")))
    gpu = _object(entry.output("gpu"))
    devices = gpu_use.devices(gpu)
    duration = length(entry) if entry.data and not reused else _duration(reused or item)
    numbered = sum(cell["number"] > 0 for cell in cells)
    limits = unchecked_values.whole(entry.output("memory-limit"))
    return {
        "name": unchecked_values.line(item.get("name")) or PurePosixPath(path).stem,
        "path": path,
        "repository": repository,
        "in_repository": in_repository,
        "step": unchecked_values.line(source.step),
        "status": status,
        "reason": _said(source, "reason", status),
        "message": _said(source, "message", status),
        "exit_code": entry.exit_code
        if entry.data
        else unchecked_values.whole(item.get("exit_code")),
        "variant": unchecked_values.line(entry.output("variant") or entry.option("variant")),
        "parameters": _object(entry.output("parameters")) or {},
        "until": unchecked_values.line(item.get("until")),
        "start_ms": clock.at(reused["started"] if reused else entry.started),
        "duration_ms": duration,
        "timeline_start_ms": clock.at(entry.output("zero")),
        "cells_total": total,
        "cells_run": unchecked_values.whole(
            _first(entry.output("cells-run"), item.get("cells_run"))
        ),
        "skipped": max(total - numbered, 0) if total is not None and cells else 0,
        "tolerated": entry.tolerated if cells else item.get("tolerated", 0),
        "cells": cells,
        "rules": _rules(entry, paths, checkouts),
        "changes": changed_cells.changes(entry),
        "diff_text": changed_cells.diff_text(entry, paths),
        "golden": record_golden(entry.output("golden"), paths),
        "attempts": _attempts(entry, paths),
        "strays": unchecked_values.texts(entry.output("strays")),
        "messages_lost": unchecked_values.whole(entry.output("messages-lost")) or 0,
        "allocator": unchecked_values.line(entry.output("allocator")),
        "gpu_peak": _highest([*devices, *cells], "memory_peak", "gpu_peak"),
        "rss_peak": _highest([gpu or {}, *cells], "rss_peak"),
        "energy": gpu_use.total(device.get("energy") for device in devices),
        "gpu_hours": gpu_use.hours(len(devices), duration),
        "gpu_idle": gpu_use.mean(device.get("idle") for device in devices),
        **record_cpu_fallback(entry.output("cpu-fallback")),
        "gpu": gpu,
        "guard": _object(entry.output("guard")),
        "kernel": _kernel(entry),
        "memory_limit": limits,
        "reused_from": unchecked_values.line((reused or {}).get("run") or item.get("reused_from"))
        or None,
        "executed": executed,
        "page": paths.shown(entry.output("page")) or pages.get(executed or ""),
        "log": paths.shown(entry.output("log")),
        "timeline": paths.shown(entry.output("timeline")),
        "patched": paths.shown(entry.output("patched")),
        "diff": paths.shown(entry.output("diff")),
        "junit": paths.shown(entry.output("junit")),
    }


def pages_by_notebook(run: Run, paths: RunPaths) -> dict[str, str]:
    """Return the pages that steps made of executed notebooks, both as run.json spells them."""
    found = {}
    for entry in run.of_section("page"):
        notebook, page = paths.shown(entry.option("notebook")), paths.shown(entry.output("page"))
        if notebook and page:
            found[notebook] = page
    return found


def _status(source: Source) -> NotebookStatus:
    """Return how it ended, the worse of what its own report and the step that ran it say."""
    own = _STATUSES.get(source.entry.status)
    planned = source.item.get("status") if source.item else None
    if planned is None or (own in _BAD and planned not in _BAD):
        return own or "failed"
    known: NotebookStatus = planned if planned in _KNOWN else "failed"
    return known


def _said(source: Source, what: str, status: NotebookStatus) -> str:
    """Return the reason or the message of whoever says that it ended as ``status``."""
    item, entry = source.item, source.entry
    texts = [str(item.get(what) or ""), getattr(entry, what)]
    if status == _STATUSES.get(entry.status):
        texts.reverse()
    return unchecked_values.line(texts[0] or texts[1])


def _duration(item: Mapping[str, Any]) -> int | None:
    return unchecked_values.duration(item.get("seconds")) if item.get("seconds") else None


def _rules(entry: Entry, paths: RunPaths, checkouts: Checkouts) -> RulesJson | None:
    path = paths.shown(entry.option("rules"))
    if not path:
        return None
    repository, in_repository = checkouts.place(path)
    return {"path": path, "repository": repository, "in_repository": in_repository}


def _attempts(entry: Entry, paths: RunPaths) -> list[AttemptJson]:
    return [
        {
            "number": unchecked_values.whole(attempt["number"]) or 0,
            "allocator": unchecked_values.line(attempt["rung"]),
            "status": unchecked_values.line(attempt["status"]),
            "reason": unchecked_values.line(attempt.get("reason")),
            "message": unchecked_values.line(attempt["message"]),
            "exit_code": unchecked_values.whole(attempt.get("exit_code")),
            "duration_ms": unchecked_values.duration(attempt["seconds"]) or 0,
            "gpu_peak": unchecked_values.whole(attempt.get("gpu_peak")),
            "cell": unchecked_values.whole(attempt.get("cell")),
            "error": record_error(attempt.get("error")),
            "executed": paths.shown(attempt.get("notebook")),
        }
        for attempt in entry.output("attempts") or ()
    ]


def _kernel(entry: Entry) -> KernelJson | None:
    name, facts = entry.output("kernel"), _object(entry.output("kernel-facts")) or {}
    if not name and not facts:
        return None
    return {
        "name": unchecked_values.line(name),
        "python": unchecked_values.line(facts.get("python")),
        "cuda_runtime": unchecked_values.line(facts.get("cuda_runtime")),
        "cuda_driver": unchecked_values.line(facts.get("cuda_driver")),
        "packages": unchecked_values.versions(facts.get("packages")),
    }


def _object(value: Any) -> dict[str, Any] | None:
    return unchecked_values.tree(value) if isinstance(value, dict) else None


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _highest(items: list[Any], *names: str) -> int | None:
    found = (unchecked_values.whole(item.get(name)) for item in items for name in names)
    return max((value for value in found if value is not None), default=None)
