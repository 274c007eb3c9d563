"""What goes on about the GPU beside one run of a notebook."""

from __future__ import annotations

import logging
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from stepkit.errors import Reason, StepError
from stepkit.gpu import TIMELINE
from stepkit.gpu.memory import guard_request
from stepkit.notebook import kernelspecs

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepkit.gpu.health.concurrent_check import Look
    from stepkit.gpu.monitor.sampler import Sampler
    from stepkit.gpu.monitor.timeline import Timeline
    from stepkit.gpu.step_options import GpuOptions
    from stepkit.notebook.verdict import CellRun, Execution

logger = logging.getLogger(__name__)


class Alongside:
    """The look at the GPU before the first cell, the guard's settings, and the samples.

    ``kernel`` is the name of the kernel that will run. Each part is imported when it is needed: it
    starts sooner. Raises :class:`ConfigurationError` for options that contradict each other.
    """

    def __init__(self, options: GpuOptions, *, kernel: str, cwd: Path) -> None:
        self._options = options
        self._kernel = kernel
        self._cwd = cwd
        self._stack = ExitStack()
        self._settings = guard_request.settings(options, Path())
        self._look: Look | None = None
        self._sampler: Sampler | None = None
        self._timeline: Timeline | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What the kernel's environment gets in addition."""
        return self._settings.environment()

    def __enter__(self) -> Self:
        """Begin to look, if that is asked for."""
        scratch = tempfile.TemporaryDirectory(prefix="sk-gpu-", ignore_cleanup_errors=True)
        report = Path(self._stack.enter_context(scratch), "guard.jsonl")
        self._settings = replace(self._settings, report=report)
        if self._options.gpu in {"required", "optional"}:
            self._look = self._looking()
            self._look.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """End all of it."""
        self._stack.close()

    def kernel_started(self, pid: int) -> None:
        """Sample the GPUs, and process ``pid`` with all its children."""
        if not self._options.sampling:
            return
        from stepkit.gpu.monitor.sampler import Sampler

        self._sampler = self._stack.enter_context(Sampler())
        self._sampler.follow(pid)

    def check(self) -> None:
        """Wait until it is clear that the GPU can be used, if it is required.

        Raises :class:`StepError` when it cannot.
        """
        if self._look and self._options.gpu == "required":
            try:
                self._look.require()
            except StepError as error:
                logger.info("verdict: %s", error)
                raise

    def ended(self, execution: Execution) -> Execution:
        """Return ``execution`` with the most memory of each cell."""
        if not self._sampler:
            return execution
        from stepkit.gpu.monitor import timeline

        self._sampler.end()  # what broke a GPU is told in its last sample
        self._timeline = self._sampler.timeline(execution.started)
        ran = [cell for cell in execution.cells if cell.began is not None]
        peaks = timeline.peaks(self._timeline, [_window(cell) for cell in ran])
        found = {cell.index: peak for cell, peak in zip(ran, peaks, strict=True)}
        cells = [_with(cell, *found.get(cell.index, (None, None))) for cell in execution.cells]
        return replace(execution, cells=cells)

    def explained(self, error: StepError, execution: Execution) -> StepError:
        """Return ``error``, or what it means when the GPU is at the bottom of it."""
        if error.reason != Reason.CELL_ERROR:
            return error
        retried = self._options.on_gpu_oom == "retry-lower"
        return (self._look or self._looking()).explained(error, execution, retried=retried)

    def outputs(
        self, output: Path, execution: Execution, error: StepError | None, metrics: Path | None
    ) -> dict[str, Any]:
        """Return the fields of :class:`GpuOutputs` but the attempts.

        The timeline is written beside ``output``, and ``metrics``; what cannot be written never
        hides the verdict, which ``error`` is if it is a bad one.
        """
        from stepkit.gpu.monitor import run_metrics, timeline

        found = self._told(passed=not error)
        summary, path = None, output.with_suffix(TIMELINE)
        _remove(path)
        if samples := self._timeline:
            summary = timeline.summary(samples)
            found |= {"gpu": asdict(summary), "gpu_memory_peak": summary.memory_peak}
            found["timeline"] = _written(path, lambda: timeline.write(samples, path))
        if metrics:
            found["metrics"] = _written(
                metrics.absolute(),
                lambda: run_metrics.write(metrics, output.stem, execution, error, summary),
            )
        return found

    def _told(self, *, passed: bool) -> dict[str, Any]:
        if self._settings.mode == "off":
            return {}
        told = guard_request.read(self._settings.report)
        if not told.active and self._options.rmm_mode != "respect":
            logger.warning("the guard was not active: nothing of --rmm-mode was done")
        missed = [call.cuda for call in told.calls if call.cuda and not call.served]
        if missed and passed and self._options.gpu == "auto":
            logger.warning("the notebook went on although RMM found no GPU: %s", missed[-1])
        allocator = "none" if told.allocator.startswith("none:") else told.allocator
        return {"guard": asdict(told), "allocator": allocator if told.rmm else ""}

    def _looking(self) -> Look:
        from stepkit.gpu.health.concurrent_check import Look

        python, env = kernelspecs.python(self._kernel), kernelspecs.environment(self._kernel)
        look = Look(self._options.gpu, python=python, cwd=self._cwd, env=env)
        self._stack.callback(look.close)
        return look


def _window(cell: CellRun) -> tuple[float, float]:
    """Return when a cell began and ended."""
    began = cell.began or 0.0
    return began, began + (cell.seconds or 0.0)


def _with(cell: CellRun, gpu_peak: int | None, rss_peak: int | None) -> CellRun:
    return replace(cell, gpu_peak=gpu_peak, rss_peak=rss_peak)


def _written(path: Path, write: Callable[[], None]) -> Path | None:
    try:
        write()
    except StepError as error:
        logger.warning("%s is not there: %s", path, error)
        _remove(path)
        return None
    return path


def _remove(path: Path) -> None:
    """Remove a file of an earlier run, if it may be removed: nobody may take it for this run's."""
    if path.is_file():
        with suppress(OSError):
            path.unlink()
