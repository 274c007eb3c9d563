"""What run.json holds of a notebook: its cells, and the evidence of what failed."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

NotebookStatus = Literal[
    "passed", "tolerated", "failed", "cancelled", "skipped", "not-run", "flaky", "reused"
]
CellStatus = Literal["ok", "expected-error", "tolerated", "error", "stopped", "not-run", "skipped"]


class ErrorJson(TypedDict):
    """Why a cell, a test or a step failed: the evidence.

    ``source`` is the code of the cell, ``line`` the number in it (from 1) of the line that failed,
    None if that is unknown. ``traceback`` has at most 40 lines, the last ones, and ``left_out``
    says how many came before. ``output`` are the last lines that it printed. ``stack`` is where
    all threads of the kernel were, in the words of Python's faulthandler, when it hung or died.
    """

    ename: str
    evalue: str
    source: str
    line: int | None
    traceback: str
    left_out: int
    output: list[str]
    stack: str


class SlowFunctionJson(TypedDict):
    """A function that ran on the CPU; ``why`` is what the GPU's half said, or ``""``."""

    name: str
    calls: int
    duration_ms: int
    why: str


class CpuFallbackJson(TypedDict):
    """The calls of cudf.pandas and cuml.accel: ``cpu_calls`` of all ``calls`` ran on the CPU.

    ``out_of_memory`` counts those of them for which the GPU's memory did not suffice, ``cpu_ms`` is
    their part of ``duration_ms``. ``functions`` are at most five that ran on the CPU, the one that
    took longest first.
    """

    calls: int
    cpu_calls: int
    out_of_memory: int
    duration_ms: int
    cpu_ms: int
    functions: list[SlowFunctionJson]


class CellJson(TypedDict):
    """One code cell. ``number`` counts as on the page, where its anchor is ``#cell-NUMBER``.

    A cell that was injected has the number 0, and ``injected`` says by what. ``title`` is its
    telling line. ``gpu_change`` is by how much the GPU memory in use grew while it ran.
    ``energy`` is what the GPUs used meanwhile, ``gpu_hours`` are the GPUs times the cell's length,
    ``gpu_idle`` is the share of the samples in which a GPU had nothing to do. ``cpu_fallback`` is
    the share of the calls of cudf.pandas and cuml.accel that ran on the CPU, None without any.
    """

    number: int
    index: int
    id: str
    title: str
    injected: Literal["", "parameters", "rule"]
    status: CellStatus
    start_ms: int | None
    duration_ms: int | None
    gpu_peak: int | None
    gpu_change: int | None
    rss_peak: int | None
    energy: float | None
    gpu_hours: float | None
    gpu_idle: float | None
    cpu_fallback: float | None
    cpu_fallback_calls: CpuFallbackJson | None
    tolerance: str
    error: ErrorJson | None


class ChangeJson(TypedDict):
    """What a rule did to a cell, or could not do."""

    rule: str
    cell: int | None
    id: str
    what: str
    applied: bool


class RulesJson(TypedDict):
    """The file of the rules: its path, and the checkout that it comes from, as of a notebook."""

    path: str
    repository: int | None
    in_repository: str


class AttemptJson(TypedDict):
    """One try of a notebook that was run more than once.

    ``reason`` is that of --retry-on if it led to another try. ``cell`` is the ``index`` of the cell
    that failed or was stopped, in the notebook that this try ``executed``, and ``error`` its
    evidence; they are None where there is none.
    """

    number: int
    allocator: str
    status: str
    reason: str
    message: str
    exit_code: int | None
    duration_ms: int
    gpu_peak: int | None
    cell: int | None
    error: ErrorJson | None
    executed: str | None


class KernelJson(TypedDict):
    """What the kernel had: ``packages`` are those that the notebook imported, by distribution."""

    name: str
    python: str
    cuda_runtime: str
    cuda_driver: str
    packages: dict[str, str]


class GoldenDifferenceJson(TypedDict):
    """An output that is not the golden one: of the cell with this number and ``index``.

    ``output`` is a media type, a stream or ``error``. ``golden`` and ``new`` are parts of both.
    ``images`` are data URIs of the golden image, the new one, and the pixels that differ.
    """

    cell: int
    index: int
    title: str
    output: str
    message: str
    golden: str
    new: str
    images: list[str]


class GoldenIgnoredJson(TypedDict):
    """A cell that was not compared."""

    cell: int
    why: str


class GoldenJson(TypedDict):
    """How the outputs compare with those of a golden notebook; ``path`` is as that of a notebook.

    ``compared`` counts cells, ``differing`` outputs, of which ``differences`` are the first, and
    ``within`` numbers and images that differ within the limits, numbers by ``largest`` of the
    golden one at most.
    """

    path: str
    compared: int
    differing: int
    within: int
    largest: float
    ignored: list[GoldenIgnoredJson]
    differences: list[GoldenDifferenceJson]


class NotebookJson(TypedDict):
    """One notebook that ran, or did not.

    ``path`` is the notebook, as it was given where it is outside of the run's directory.
    ``repository`` is the index in ``repositories`` of the checkout that it comes from, and
    ``in_repository`` its path there; without such a checkout they are None and ``path``.
    ``rules`` is None of a notebook that none were given for.
    ``golden`` is None of one that was not compared.
    ``executed``, ``page``, ``log``, ``timeline``, ``patched``, ``diff`` and ``junit`` are files,
    None where there is none. ``gpu`` and ``guard`` are the outputs of execute-notebook as they are.
    ``timeline_start_ms`` is the zero of the timeline's ``seconds`` on the run's clock. ``skipped``
    counts cells that rules took out. ``parameters`` were injected, with *** for the value of one
    whose name is that of a secret. ``gpu_hours`` are the GPUs that its kernel saw times
    ``duration_ms``; ``energy`` and ``gpu_idle`` are those of its last try.
    A reused notebook ran in the run ``reused_from``: its lengths are those of that run, and its
    times are moved as if it had begun when it was reused.
    """

    name: str
    path: str
    repository: int | None
    in_repository: str
    step: str
    status: NotebookStatus
    reason: str
    message: str
    exit_code: int | None
    variant: str
    parameters: dict[str, Any]
    until: str
    start_ms: int | None
    duration_ms: int | None
    timeline_start_ms: int | None
    cells_total: int | None
    cells_run: int | None
    skipped: int
    tolerated: int
    cells: list[CellJson]
    rules: RulesJson | None
    changes: list[ChangeJson]
    diff_text: str
    golden: GoldenJson | None
    attempts: list[AttemptJson]
    strays: list[str]
    messages_lost: int
    allocator: str
    gpu_peak: int | None
    rss_peak: int | None
    energy: float | None
    gpu_hours: float | None
    gpu_idle: float | None
    cpu_fallback: float | None
    cpu_fallback_calls: CpuFallbackJson | None
    gpu: dict[str, Any] | None
    guard: dict[str, Any] | None
    kernel: KernelJson | None
    memory_limit: int | None
    reused_from: str | None
    executed: str | None
    page: str | None
    log: str | None
    timeline: str | None
    patched: str | None
    diff: str | None
    junit: str | None
