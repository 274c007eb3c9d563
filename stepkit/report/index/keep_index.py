"""Keep the index beside its runs: several runs that end at the same time lose nothing.

A run writes nothing of the index but its own run.json. Whoever keeps the index notes the versions
of its files, then lists the runs, and replaces each file only if it is still at that version: who
came in between has seen other runs, and the work begins again. The last one to write has thus
listed every run that ended before.
"""

from __future__ import annotations

import json
import logging
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.report import find_runs
from stepkit.report.index import index_page, index_row
from stepkit.report.index.gather_runs import TARGETS, gather
from stepkit.report.index.runs_json import SCHEMA, RunsJson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepkit.report.index.runs_json import RowJson
    from stepkit.report.index.store import Listed, Store

logger = logging.getLogger(__name__)

_POINTERS: Final = tuple(f"{name}/index.html" for name in index_page.POINTERS)
_ATTEMPTS: Final = 40
_LONGEST_PAUSE: Final = 2.0  # seconds between two attempts; they are random


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The index that was written: ``read`` counts records that were not in the one before."""

    runs: RunsJson
    read: int
    pages: int

    @property
    def unreadable(self) -> list[RowJson]:
        """The rows whose records could not be read."""
        return [row for row in self.runs["runs"] if row["unreadable"]]


def keep(store: Store, *, targets: Mapping[str, float] | None = None) -> Kept:
    """Write runs.json, index.html and the pointers of ``store`` anew.

    ``targets`` replace some of those of the index that is there. Raises
    :class:`~stepkit.errors.StepError`.
    """
    for attempt in range(_ATTEMPTS):
        with store.exclusive():
            kept = _try(store, targets or {})
        if kept:
            return kept
        logger.info("another run wrote the index at the same time: again")
        time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.05 * 2**attempt)))  # noqa: S311
    raise ToolError(
        f"{store.location(index_page.RUNS)}: other runs changed the index while it was made, "
        f"{_ATTEMPTS} times: make it anew with `stepkit index`"
    )


def _try(store: Store, targets: Mapping[str, float]) -> Kept | None:
    """Make the index once; return None where another process wrote a file of it meanwhile."""
    before = _read_before(store)
    if not before:
        _check_free(store)
    known = {row["path"]: row for row in before.get("runs", ())}
    names = [index_page.RUNS, *_POINTERS, *index_page.names(len(known) + 1)]
    versions = {name: store.version(name) for name in names}
    rows, read = _rows(store, store.listing(), known)
    if not before and not rows:
        where = store.location("").rstrip("/")
        message = f"there is no run.json below {where}: `stepkit summarize` writes one for each run"
        raise ConfigurationError(message, reason=Reason.NOT_FOUND)
    aims: Any = {**TARGETS, **before.get("targets", {}), **targets}
    runs = gather(rows, aims, datetime.now(UTC))
    files = index_page.render(runs)
    for name, content in files.items():
        kind = "application/json" if name == index_page.RUNS else "text/html; charset=utf-8"
        if not store.replace(name, content, kind, version=versions.get(name)):
            return None
    return Kept(runs=runs, read=read, pages=len(index_page.names(len(rows))))


def _read_before(store: Store) -> Any:
    """Return the runs.json that is there; one that cannot be used counts as none."""
    (_, content), *_ = store.contents([index_page.RUNS])
    if isinstance(content, StepError):
        return {}
    try:
        before = json.loads(content)
        if before["schema"] != SCHEMA:
            return {}
        targets = {
            name: value
            for name, value in before["targets"].items()
            if name in TARGETS and isinstance(value, int | float | None)
        }
        return {"runs": list(filter(index_row.is_row, before["runs"])), "targets": targets}
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return {}


def _check_free(store: Store) -> None:
    """Raise :class:`ConfigurationError` if the index would replace a file that is not one.

    A runs.json that cannot be used is made anew; one of a later version is left alone.
    """
    marks = dict.fromkeys(["index.html", *_POINTERS], index_page.MARK)
    for name, mark in {index_page.RUNS: SCHEMA, **marks}.items():
        (_, content), *_ = store.contents([name])
        if isinstance(content, StepError):
            if content.reason != Reason.NOT_FOUND and store.version(name):
                raise content
        elif mark.encode() not in content:
            raise ConfigurationError(
                f"{store.location(name)} is not the index of this stepkit: move it away, or name "
                "another place"
            )
        else:
            logger.warning("%s is made anew", store.location(name))


def _rows(
    store: Store, listing: Mapping[str, Listed], known: Mapping[str, RowJson]
) -> tuple[list[RowJson], int]:
    """Return a row for each run.json, and how many had to be read."""
    rows: list[RowJson] = []
    unread: list[str] = []
    for path, listed in listing.items():
        parts = PurePosixPath(path)
        if not find_runs.RECORD.fullmatch(parts.name) or parts.parts[0] in index_page.POINTERS:
            continue
        row = known.get(path)
        if row and row["version"] == listed.version:
            rows.append({**row, "report": _report(path, listing)})
        elif listed.size > index_row.LARGEST:
            rows.append(index_row.too_large(path, listed.version))
        else:
            unread.append(path)
    for path, content in store.contents(unread):
        version = listing[path].version
        if isinstance(content, StepError):
            rows.append(index_row.unreadable(path, "", str(content)))  # it is tried again
        else:
            rows.append(index_row.row(content, path, version, _report(path, listing)))
    return rows, len(unread)


def _report(path: str, listing: Mapping[str, Listed]) -> str:
    """Return the page to open: ``report_lite.html`` beside ``run_lite.json``."""
    record = PurePosixPath(path)
    page = record.with_name("report" + record.stem.removeprefix("run") + ".html")
    return str(page) if str(page) in listing else ""
