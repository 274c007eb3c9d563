"""Make runs.json of its rows: in order, with figures, histories and pointers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.report.index import index_figures
from stepkit.report.index.runs_json import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from stepkit.report.index.runs_json import RowJson, RunsJson, TargetsJson

TARGETS: Final[TargetsJson] = {
    "success": 95.0,
    "duration_ms": 30 * 60_000,
    "gpu_utilisation": 70.0,
    "recovery_ms": None,
}


def gather(rows: Sequence[RowJson], targets: TargetsJson, now: datetime) -> RunsJson:
    """Return runs.json as of ``now``; records that could not be read come last."""
    ordered = sorted(rows, key=lambda row: row["path"])
    ordered.sort(key=lambda row: row["started"] or "", reverse=True)
    ordered.sort(key=lambda row: bool(row["unreadable"]))
    readable = [row for row in ordered if not row["unreadable"]]
    notebooks = index_figures.by_notebook(readable)
    passed = (row["path"] for row in readable if row["verdict"].startswith("passed"))
    return {
        "schema": SCHEMA,
        "updated": now.isoformat(timespec="milliseconds"),
        "targets": targets,
        "figures": [
            index_figures.figures(readable, notebooks, days, now) for days in index_figures.DAYS
        ],
        "notebooks": sorted(
            (index_figures.history(key, runs) for key, runs in notebooks.items()),
            key=lambda each: (
                each["failing_path"] is None,
                each["name"],
                each["path"],
                each["variant"],
            ),
        ),
        "latest": readable[0]["path"] if readable else None,
        "latest_passed": next(passed, None),
        "runs": ordered,
    }
