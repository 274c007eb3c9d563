"""What runs.json holds: many runs, newest first, a row each; its schema is ``stepkit.runs/1``.

Paths are relative to the directory that runs.json is in. Fields are only ever added.
"""

from __future__ import annotations

from typing import Final, TypedDict

SCHEMA: Final = "stepkit.runs/1"


class NotebookRowJson(TypedDict):
    """A notebook of a run, and how it ended.

    ``path`` is the one in its repository: notebooks of one path and variant are the same. In a run
    of one notebook ``status`` is that of the whole run: its tests count as well.
    """

    name: str
    path: str
    variant: str
    status: str
    duration_ms: int | None


class RowJson(TypedDict):
    """One run. ``path`` is its run.json, ``version`` changes when that file does.

    ``unreadable`` says why the record could not be read; the other fields are then empty.
    ``report`` is the page to open. ``gpu_utilisation`` is a mean in percent, over all GPUs and
    notebooks by time. ``flaky`` and ``reused`` count notebooks, ``regressions``
    what was worse than the run's --fail-on allowed. ``commit`` is that of the first notebook, and
    ``commit_url`` the page of it, ``""`` where either is unknown.
    """

    path: str
    version: str
    unreadable: str
    id: str
    title: str
    verdict: str
    cause: str
    started: str | None
    duration_ms: int | None
    commit: str
    commit_url: str
    notebooks: list[NotebookRowJson]
    tests_passed: int | None
    tests_total: int | None
    gpu: str
    gpu_peak: int | None
    gpu_utilisation: float | None
    flaky: int
    reused: int
    regressions: int
    report: str


class TargetsJson(TypedDict):
    """What is aimed at: percent of runs that pass, times, percent of the GPU that is used.

    ``recovery_ms`` is None without a target.
    """

    success: float
    duration_ms: int
    gpu_utilisation: float
    recovery_ms: int | None


class FiguresJson(TypedDict):
    """How the runs of the last ``days`` went.

    ``success`` is the share, in percent, of runs that passed; those that were cancelled do not
    count. Times are those of runs that passed. ``recovery_ms`` is the mean time from the end of a
    run in which a notebook failed, the first in a row, to the end of the next one in which it
    passed, ``recovered`` how many of these there were, and ``failing`` how many notebooks still
    fail.
    """

    days: int
    runs: int
    passed: int
    success: float | None
    mean_ms: int | None
    median_ms: int | None
    gpu_utilisation: float | None
    recovery_ms: int | None
    recovered: int
    failing: int


class ResultJson(TypedDict):
    """How a notebook ended in the run whose run.json is ``path``."""

    passed: bool
    path: str


class HistoryJson(TypedDict):
    """The last runs of a notebook, at most 20.

    ``of`` counts those that passed or failed, ``passed`` those that passed. If the last one failed,
    ``failing_since`` is the commit of the first in a row that failed, and ``failing_path`` its
    run.json. ``results`` and ``durations_ms`` are those of the notebook, oldest first.
    """

    name: str
    path: str
    variant: str
    passed: int
    of: int
    failing_since: str | None
    failing_path: str | None
    results: list[ResultJson]
    durations_ms: list[int]
    median_ms: int | None


class RunsJson(TypedDict):
    """All runs, newest first, and what follows from them when it was ``updated``.

    ``latest`` and ``latest_passed`` are paths of run.json, None if there is no such run.
    """

    schema: str
    updated: str
    targets: TargetsJson
    figures: list[FiguresJson]
    notebooks: list[HistoryJson]
    latest: str | None
    latest_passed: str | None
    runs: list[RowJson]
