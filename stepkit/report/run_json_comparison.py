"""What run.json holds of a comparison: how the run differs from an earlier one, its baseline."""

from __future__ import annotations

from typing import Literal, TypedDict

CellChange = Literal["slower", "faster", "status", "new", "gone"]


class BaselineJson(TypedDict):
    """The run compared with; ``source`` is where its run.json was read: a path or a URL."""

    source: str
    id: str | None
    title: str
    started: str | None
    verdict: str
    commit: str | None


class NumberJson(TypedDict):
    """A number in both runs: whole milliseconds, or bytes.

    ``ratio`` is now / before. Beyond ``limit`` it counts as worse, and as far below the baseline as
    better. It is ``unknown``, without a limit, where one of them is missing or the two cannot be
    compared, as the times of a notebook that failed or of another GPU.
    """

    before: int | None
    now: int | None
    ratio: float | None
    limit: int | None
    change: Literal["same", "better", "worse", "unknown"]


class CellComparisonJson(TypedDict):
    """A cell that differs; ``cell`` is its index in ``cells`` of this run, None if it is gone.

    ``before`` and ``now`` are statuses, None in the run that does not have the cell.
    """

    cell: int | None
    number: int
    id: str
    title: str
    change: CellChange
    before: str | None
    now: str | None
    duration: NumberJson


class NotebookComparisonJson(TypedDict):
    """A notebook of either run; ``notebook`` is its index in this run, None if it is gone.

    ``before`` and ``now`` are statuses. ``cells`` are those that differ, ``cells_same`` counts the
    others. ``rules_new`` and ``rules_gone`` say what rules did in one of the runs alone.
    """

    notebook: int | None
    name: str
    variant: str
    before: str | None
    now: str | None
    duration: NumberJson
    gpu_peak: NumberJson
    rss_peak: NumberJson
    cells: list[CellComparisonJson]
    cells_same: int
    rules_new: list[str]
    rules_gone: list[str]


class VersionChangeJson(TypedDict):
    """A version that differs, None where there is none.

    ``notebook`` is the name of the notebook whose kernel had it, ``""`` for the image, the GPU, the
    driver and the tools of the run.
    """

    notebook: str
    name: str
    before: str | None
    now: str | None


class TestsComparisonJson(TypedDict):
    """Test cases by name; ``newly_passing`` failed in the baseline and do not fail any more.

    The totals are those of all test suites together, None where one is unknown.
    """

    newly_failing: list[str]
    newly_passing: list[str]
    newly_skipped: list[str]
    no_longer_skipped: list[str]
    total_before: int | None
    total_now: int | None


class ArtifactChangeJson(TypedDict):
    """A file that differs by its sha256, or is in one of the runs alone; sizes are in bytes."""

    path: str
    role: str
    change: Literal["changed", "new", "gone"]
    before: int | None
    now: int | None


class ComparisonJson(TypedDict):
    """How the run differs from its baseline.

    ``baseline`` is None if it could not be read; ``notes`` say why, and what could not be compared.
    ``commit`` is that of this run, None if it is unknown.
    ``runs`` counts the runs that the limits come from, the baseline included. ``message`` sums up
    in one sentence. ``regressions`` say in one sentence each what is worse than was allowed.
    """

    baseline: BaselineJson | None
    commit: str | None
    runs: int
    message: str
    notes: list[str]
    regressions: list[str]
    duration: NumberJson
    notebooks: list[NotebookComparisonJson]
    versions: list[VersionChangeJson]
    tests: TestsComparisonJson
    artifacts: list[ArtifactChangeJson]
