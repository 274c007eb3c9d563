"""The GPU during one run of a notebook: the check before it, RMM's guard in it, samples of it."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from stepkit.errors import Reason, StepError
from stepkit.gpu.health import xid_errors
from stepkit.gpu.memory import guard_request, read_guard_log
from stepkit.notebook import cpu_fallback, kernelspecs, refused_installs
from stepkit.notebook import verdict as notebook_verdict
from stepkit.notebook.attempt_files import TIMELINE
from stepkit.notebook.attempts import Attempt
from stepkit.notebook.verdict import Execution
from stepkit.options import DETAIL
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stepkit.gpu.health.concurrent_check import ConcurrentCheck
    from stepkit.gpu.memory.guard_request import Settings
    from stepkit.gpu.monitor.sampler import Sampler
    from stepkit.gpu.monitor.timeline import Timeline
    from stepkit.gpu.step_options import GpuOptions
    from stepkit.notebook.cpu_fallback import CpuFallback
    from stepkit.notebook.progress_json import ReadingsJson

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class GpuOutputs:
    """Outputs of a step that runs a notebook; empty where no GPU was there or none was checked."""

    allocator: Annotated[str, "what handed out the GPU's memory"] = ""
    gpu_memory_peak: Annotated[int | None, "most bytes in use at once on one GPU"] = None
    timeline: Annotated[Path | None, "samples of GPU, CPU and memory, as gzipped columns"] = None
    metrics: Annotated[Path | None, "metrics in Prometheus' text format"] = None
    gpu: Annotated[Mapping[str, Any] | None, "the GPUs, and what they did", DETAIL] = None
    guard: Annotated[Mapping[str, Any] | None, "what the guard in the kernel saw", DETAIL] = None
    attempts: Annotated[tuple[Attempt, ...], "each attempt, if there was more", DETAIL] = ()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The verdict on a run: ``message`` of a success, or else ``error``.

    ``execution`` has the memory of each cell.
    """

    execution: Execution
    message: str
    error: StepError | None


@contextmanager
def begin(options: GpuOptions, *, kernel: str, cwd: Path) -> Iterator[GpuSession]:
    """Check, guard and sample the GPU for the block, in which a notebook runs in ``kernel``.

    If ``options`` ask for a check, it begins at once in a thread. Raises
    :class:`ConfigurationError` for options that contradict each other.
    """
    with atomic_files.explaining("cannot make a temporary directory"):
        scratch = tempfile.TemporaryDirectory(prefix="sk-gpu-", ignore_cleanup_errors=True)
    with ExitStack() as stack:
        guard_log = Path(stack.enter_context(scratch), "guard.jsonl")
        settings = guard_request.settings(options, guard_log)
        session = GpuSession(options, settings, kernel=kernel, cwd=cwd, stack=stack)
        if options.gpu in {"required", "optional"}:
            session.check.start()
        yield session


class GpuSession:
    """The GPU during one run, yielded by :func:`begin`.

    ``environment`` has the variables that the kernel needs: the guard's settings. In a run,
    :meth:`follow` comes after the kernel's start, :meth:`require` before the first cell, and
    :meth:`judge` and :meth:`outputs` after the last one.
    """

    def __init__(
        self, options: GpuOptions, guard: Settings, *, kernel: str, cwd: Path, stack: ExitStack
    ) -> None:
        self.environment = guard.environment()
        self._options = options
        self._most_fallback = cpu_fallback.parse_limit(options.max_cpu_fallback)
        self._guard = guard
        self._kernel = kernel
        self._cwd = cwd
        self._stack = stack
        self._sampler: Sampler | None = None
        self._timeline: Timeline | None = None

    @cached_property
    def check(self) -> ConcurrentCheck:
        """The check of the GPU that the kernel finds."""
        from stepkit.gpu.health.concurrent_check import ConcurrentCheck

        python, env = kernelspecs.python(self._kernel), kernelspecs.environment(self._kernel)
        check = ConcurrentCheck(self._options.gpu, python=python, cwd=self._cwd, env=env)
        self._stack.callback(check.close)
        return check

    def follow(self, pid: int) -> None:
        """Sample the GPUs from now on, and the kernel's process ``pid`` with its descendants."""
        if self._options.sampling:
            from stepkit.gpu.monitor.sampler import Sampler

            self._sampler = self._stack.enter_context(Sampler())
            self._sampler.follow(pid)

    def latest(self) -> ReadingsJson:
        """Return what the last sample saw, nothing if nothing is sampled."""
        return self._sampler.latest() if self._sampler else {"rss": None, "gpus": []}

    def require(self) -> None:
        """Wait until the check of the GPU ends, if there is one.

        It takes memory of the GPU itself, so that the samples of the notebook begin after it.
        Raises :class:`StepError` if a required GPU cannot be used.
        """
        if self._options.gpu not in {"required", "optional"}:
            return
        try:
            self.check.require()
        except StepError as error:
            logger.info("verdict: %s", error)
            raise
        if self._sampler:
            self._sampler.begin_anew()

    def judge(
        self, execution: Execution, executed: Any, fallback: CpuFallback | None = None
    ) -> Verdict:
        """Stop sampling and judge the run. An error that the GPU caused is explained.

        So is one that follows a refused installation, of which ``executed``, the notebook, has the
        output. ``fallback`` is what the notebook ran on the CPU instead of the GPU.
        """
        if self._sampler:
            self._sampler.end()  # what broke a GPU is in its last sample
            self._timeline = self._sampler.timeline(execution.started)
            execution = _with_figures(execution, self._timeline)
        message, error = "", None
        try:
            message = notebook_verdict.judge(execution)
        except StepError as failure:
            error = failure
        if error and self._timeline:
            error = xid_errors.explained(error, [xid.number for xid in self._timeline.xids])
        if error and error.reason == Reason.CELL_ERROR:
            retried = self._options.on_gpu_oom == "retry-lower"
            error = self.check.explained(error, execution, retried=retried)
            error = refused_installs.explained(error, execution.cells, executed)
        error = error or cpu_fallback.exceeded(self._most_fallback, fallback, execution.cells)
        return Verdict(execution=execution, message=message, error=error)

    def outputs(
        self,
        verdict: Verdict,
        output: Path,
        source: Path,
        metrics: Path | None,
        *,
        error: StepError | None,
        flaky: bool = False,
        before: float = 0.0,
    ) -> GpuOutputs:
        """Return the outputs of the run, without its attempts; ``error`` is why the step failed.

        ``flaky`` says that an attempt before this one failed for a reason of --retry-on, ``before``
        how many seconds all of those took. The timeline is written beside ``output``, and the
        ``metrics`` of ``source``; one that cannot be written is logged, so that it does not hide
        the verdict.
        """
        from stepkit.gpu.monitor import run_metrics, timeline

        path, samples, summary = output.with_suffix(TIMELINE), self._timeline, None
        _remove(path)
        found = self._guard_outputs(passed=not error)
        if samples:
            summary = timeline.summary(samples)
            found = replace(
                found,
                gpu=asdict(summary),
                gpu_memory_peak=summary.memory_peak,
                timeline=_written(path, lambda: timeline.write(samples, path)),
            )
        if metrics:
            labels = run_metrics.labels(output, source)
            written = _written(
                metrics.absolute(),
                lambda: run_metrics.write(
                    metrics, labels, verdict.execution, error, summary, flaky=flaky, before=before
                ),
            )
            found = replace(found, metrics=written)
        return found

    def _guard_outputs(self, *, passed: bool) -> GpuOutputs:
        """Return what the guard recorded, and warn of what it could not do."""
        if self._guard.mode == "off":
            return GpuOutputs()
        log = read_guard_log.read(self._guard.report)
        if not log.active and self._options.rmm_mode != "respect":
            logger.warning("the guard was not active: nothing of --rmm-mode was done")
        missed = [call.cuda for call in log.calls if call.cuda and not call.served]
        if missed and passed and self._options.gpu == "auto":
            logger.warning("the notebook went on although RMM found no GPU: %s", missed[-1])
        for warning in log.warnings:
            logger.warning("the GPU's memory: %s", warning)
        allocator = "none" if log.allocator.startswith("none:") else log.allocator
        used = log.rmm or log.cupy is not None
        return GpuOutputs(guard=asdict(log), allocator=allocator if used else "")


def _with_figures(execution: Execution, samples: Timeline) -> Execution:
    """Return ``execution`` with what each cell did to memory and GPUs."""
    from stepkit.gpu.monitor import cell_gpu_use, timeline

    ran = [cell for cell in execution.cells if cell.began is not None]
    windows = [(cell.began or 0.0, (cell.began or 0.0) + (cell.seconds or 0.0)) for cell in ran]
    of_each = zip(
        ran,
        timeline.peaks(samples, windows),
        timeline.changes(samples, windows),
        cell_gpu_use.energies(samples, windows),
        cell_gpu_use.idle_shares(samples, windows),
        strict=True,
    )
    found: dict[int, dict[str, Any]] = {
        cell.index: {
            "gpu_peak": gpu_peak,
            "rss_peak": rss_peak,
            "gpu_change": change,
            "energy": energy,
            "gpu_idle": idle,
        }
        for cell, (gpu_peak, rss_peak), change, energy, idle in of_each
    }
    cells = [replace(cell, **found.get(cell.index, {})) for cell in execution.cells]
    return replace(execution, cells=cells)


def _written(path: Path, write: Callable[[], None]) -> Path | None:
    """Call ``write`` and return ``path``, or None if it could not be written."""
    try:
        write()
    except StepError as error:
        logger.warning("%s was not written: %s", path, error)
        _remove(path)
        return None
    return path


def _remove(path: Path) -> None:
    """Remove the file of an earlier run, which would be taken for this run's."""
    if path.is_file():
        with suppress(OSError):
            path.unlink()
