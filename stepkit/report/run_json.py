r"""What run.json holds: the record of a run, made from the reports of its steps alone.

Every renderer (STEP_SUMMARY.md, report.html, the index, a comparison, a terminal) takes a
:class:`RunJson` and nothing else. The same shape is ``run.schema.json``, the published schema
``stepkit.run/1``; fields are only ever added to it. One that is added has a default there, which it
gets in records that were written before.

- Times: ``started`` is an ISO-8601 time in UTC with milliseconds, when the first step began. Each
  ``start_ms`` counts whole milliseconds from it, each ``duration_ms`` is a length; both are None
  where they are unknown. Cells and ``timeline_start_ms`` use that same clock.
- Paths are relative to the directory that run.json is in, with ``/``; one outside of the run is
  absolute. Sizes and memory are bytes, energy is joules, shares are from 0 to 1.
- Texts of notebooks, servers and repositories are data of strangers: secrets are masked, nothing
  else is. Tracebacks keep their ANSI colours; other texts have no control characters but ``\n``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

if TYPE_CHECKING:
    from stepkit.report.run_json_comparison import ComparisonJson
    from stepkit.report.run_json_notebook import ErrorJson, NotebookJson

SCHEMA: Final = "stepkit.run/1"

Verdict = Literal[
    "passed", "passed with tolerated errors", "flaky", "failed", "cancelled", "incomplete"
]
StepStatus = Literal[
    "succeeded", "tolerated", "flaky", "failed", "cancelled", "not-run", "not-asked-for", "reused"
]


class CauseJson(TypedDict):
    """What decided the verdict of a run that did not pass.

    ``notebook`` is an index into ``notebooks``, ``cell`` one into its ``cells``. ``error`` is that
    of the cell, of the first test that failed, or of the step; None where there is no evidence.
    """

    step: str
    status: StepStatus
    reason: str
    exit_code: int | None
    message: str
    notebook: int | None
    cell: int | None
    error: ErrorJson | None


class IdentityJson(TypedDict):
    """Which run it was, and where.

    ``host`` is the kind of the machine: tekton, github, gitlab, jenkins or local. ``id`` and
    ``created`` are those of the run's directory. ``image`` and ``image_digest`` are known in our
    images and where the pipeline gives them.
    """

    id: str | None
    created: str | None
    host: str
    url: str | None
    image: str | None
    image_digest: str | None
    stepkit: str
    stepkit_commit: str | None


class RepositoryJson(TypedDict):
    """A checkout: ``revision`` is what was asked, ``commit`` what was checked out.

    ``commit`` is ``""`` where nothing was checked out.
    """

    step: str
    url: str
    revision: str
    commit: str
    committed: str | None


class EarlierJson(TypedDict):
    """The run of a step before the one that counts: see docs/reports.md."""

    runs: int
    started: str
    status: str
    reason: str
    ended: bool


class StepJson(TypedDict):
    """One step, in order; ``command`` is the stepkit command, "" of one that left no report.

    ``again`` is the command line that runs it again, without secrets; ``row_alone`` says that only
    its row is shown. ``headline`` says that its message stands on top of a run that passed.
    ``reused_from`` is the run in which a reused step ran. A run does without a step that is
    ``not-asked-for``.
    """

    name: str
    command: str
    status: StepStatus
    reason: str
    message: str
    exit_code: int | None
    start_ms: int | None
    duration_ms: int | None
    report: str | None
    unfinished: bool
    headline: bool
    row_alone: bool
    earlier: EarlierJson | None
    reused_from: str | None
    again: list[str]
    error: ErrorJson | None


class TestJson(TypedDict):
    """One test case.

    ``allowed`` says that its failure was declared, and ``reason`` why; that of a skipped one is
    pytest's.
    """

    name: str
    status: Literal["passed", "failed", "error", "skipped"]
    duration_ms: int | None
    message: str
    text: str
    allowed: bool
    reason: str


class TestsJson(TypedDict):
    """One run of a test suite; counts are None where they are unknown, coverage is percent.

    ``failures`` are all failed cases, ``slowest`` at most ten, ``skips`` those that were skipped.
    """

    step: str
    message: str
    total: int | None
    passed: int | None
    failed: int | None
    errors: int | None
    skipped: int | None
    allowed: int | None
    coverage: float | None
    installer: str
    installer_reason: str
    failures: list[TestJson]
    slowest: list[TestJson]
    skips: list[TestJson]
    report: str | None
    junit: str | None
    log: str | None


class DatasetJson(TypedDict):
    """One dataset; ``from_cache`` is None where that is unknown.

    ``verified_by`` is the checksum that it was compared with, ``sha256`` or ``md5``; None for none.
    """

    step: str
    name: str
    url: str
    path: str
    size: int | None
    sha256: str | None
    verified_by: str | None
    from_cache: bool | None


class FindingJson(TypedDict):
    """What a check of the environment found: ``level`` is ok, warning or error."""

    name: str
    level: str
    message: str


class EnvironmentJson(TypedDict):
    """The machine: ``gpus`` have ``index``, ``name``, ``uuid`` and ``memory_total``."""

    gpus: list[dict[str, Any]]
    driver: str
    cuda: str
    memory_limit: int | None
    findings: list[FindingJson]


class ArtifactJson(TypedDict):
    """One file of the manifest, or of a step's outputs; ``role`` says what it is, or is ``""``."""

    path: str
    size: int
    sha256: str
    media_type: str
    role: Literal["", "page", "notebook", "log", "tests", "coverage", "timeline", "data"]


class RunJson(TypedDict):
    """The whole run. ``headline`` is the verdict in words, with tolerated errors and reused steps.

    ``energy``, ``gpu_hours`` and ``gpu_idle`` are of all notebooks that ran in it: a GPU that
    several held at the same time counts once, and its energy is then unknown.

    ``left_out`` counts what was cut to keep the file below 2 MB, by the name of the list:
    ``cells``, ``artifacts``, ``failures``; ``evidence`` are errors without source and traceback.
    It is empty of almost every run.
    """

    schema: str
    title: str
    identity: IdentityJson
    started: str | None
    duration_ms: int | None
    verdict: Verdict
    headline: str
    tolerated: int
    cause: CauseJson | None
    not_run: list[str]
    repositories: list[RepositoryJson]
    steps: list[StepJson]
    notebooks: list[NotebookJson]
    tests: list[TestsJson]
    datasets: list[DatasetJson]
    environment: EnvironmentJson
    energy: float | None
    gpu_hours: float | None
    gpu_idle: float | None
    artifacts: list[ArtifactJson]
    versions: dict[str, str]
    published: str | None
    comparison: ComparisonJson | None
    left_out: dict[str, int]
