"""What follows from many runs: rates and times of the last days, and the history of notebooks."""

from __future__ import annotations

from datetime import datetime, timedelta
from statistics import fmean, median
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stepkit.report.index.runs_json import (
        FiguresJson,
        HistoryJson,
        NotebookRowJson,
        ResultJson,
        RowJson,
    )

DAYS: Final = (7, 30)
MOST_RECENT: Final = 20  # runs of a notebook's history

PASSED: Final = {"passed", "passed with tolerated errors", "tolerated", "flaky", "reused"}

_FAILED: Final = {"failed", "not-run", "incomplete"}

Key: TypeAlias = tuple[str, str]  # a notebook's path in its repository, and its variant
Part: TypeAlias = "tuple[RowJson, NotebookRowJson]"  # a run, and a notebook in it


def by_notebook(rows: Sequence[RowJson]) -> dict[Key, list[Part]]:
    """Return the runs of each notebook, newest first as in ``rows``."""
    found: dict[Key, list[Part]] = {}
    for row in rows:
        for notebook in row["notebooks"]:
            key = notebook["path"], notebook["variant"]
            found.setdefault(key, []).append((row, notebook))
    return found


def history(key: Key, runs: Sequence[Part]) -> HistoryJson:
    """Return the history of a notebook, whose ``runs`` are newest first."""
    counted = [(row, notebook) for row, notebook in runs if notebook["status"] in PASSED | _FAILED]
    results: list[ResultJson] = [
        {"passed": notebook["status"] in PASSED, "path": row["path"]}
        for row, notebook in counted[:MOST_RECENT]
    ]
    since: RowJson | None = None
    for row, notebook in counted:
        if notebook["status"] in PASSED:
            break
        since = row
    times = [notebook["duration_ms"] for _, notebook in runs[:MOST_RECENT]]
    durations = [length for length in times if length is not None]
    return {
        "name": runs[0][1]["name"],
        "path": key[0],
        "variant": key[1],
        "passed": sum(result["passed"] for result in results),
        "of": len(results),
        "failing_since": since["commit"] if since else None,
        "failing_path": since["path"] if since else None,
        "results": results[::-1],
        "durations_ms": durations[::-1],
        "median_ms": round(median(durations)) if durations else None,
    }


def figures(
    rows: Sequence[RowJson],
    notebooks: Mapping[Key, Sequence[Part]],
    days: int,
    now: datetime,
) -> FiguresJson:
    """Return how the runs went that began in the last ``days`` before ``now``."""
    since = now - timedelta(days=days)
    recent = [row for row in rows if (began := _began(row)) and began >= since]
    counted = [row for row in recent if row["verdict"] in PASSED | _FAILED]
    passed = [row for row in counted if row["verdict"] in PASSED]
    times = [row["duration_ms"] for row in passed if row["duration_ms"] is not None]
    used = [
        (row["gpu_utilisation"], row["duration_ms"])
        for row in recent
        if row["gpu_utilisation"] is not None and row["duration_ms"]
    ]
    total = sum(length for _, length in used)
    recoveries = [each for runs in notebooks.values() for each in _recoveries(runs, since)]
    return {
        "days": days,
        "runs": len(recent),
        "passed": len(passed),
        "success": round(100 * len(passed) / len(counted), 1) if counted else None,
        "mean_ms": round(fmean(times)) if times else None,
        "median_ms": round(median(times)) if times else None,
        "gpu_utilisation": round(sum(u * length for u, length in used) / total, 1)
        if total
        else None,
        "recovery_ms": round(fmean(recoveries)) if recoveries else None,
        "recovered": len(recoveries),
        "failing": sum(_fails(runs) for runs in notebooks.values()),
    }


def _fails(runs: Sequence[Part]) -> bool:
    statuses = (notebook["status"] for _, notebook in runs)
    return next((each for each in statuses if each in PASSED | _FAILED), "") in _FAILED


def _recoveries(runs: Sequence[Part], since: datetime) -> list[float]:
    """Return the milliseconds from each first failure to the next success, if that is recent."""
    found = []
    failed: datetime | None = None
    for row, notebook in reversed(runs):
        ended, status = _ended(row), notebook["status"]
        if ended is None:
            continue
        if status in _FAILED:
            failed = failed or ended
        elif status in PASSED and failed:
            if ended >= since:
                found.append(max(0.0, (ended - failed) / timedelta(milliseconds=1)))
            failed = None
    return found


def _began(row: RowJson) -> datetime | None:
    return datetime.fromisoformat(row["started"]) if row["started"] else None


def _ended(row: RowJson) -> datetime | None:
    began = _began(row)
    try:
        return began + timedelta(milliseconds=row["duration_ms"] or 0) if began else None
    except OverflowError:
        return began
