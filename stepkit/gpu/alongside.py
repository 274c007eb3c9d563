"""What goes on about the GPU beside one run of a notebook."""

from __future__ import annotations

import logging
import sys
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from stepkit.errors import Reason, StepError
from stepkit.gpu import causes, guard, measured, preflight, timeline
from stepkit.gpu.judging import Trouble
from stepkit.gpu.sampler import Sampler
from stepkit.gpu.visibility import Hidden

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepkit.gpu.causes import Cause
    from stepkit.gpu.options import GpuOptions
    from stepkit.gpu.preflight import Diagnosis
    from stepkit.gpu.timeline import Timeline
    from stepkit.verdict import CellRun, Execution

logger = logging.getLogger(__name__)

_HIDDEN: Final = Hidden(
    what="--gpu none hides it", remedy="run with --gpu required, or without --gpu"
)


class Alongside:
    """The look at the GPU before the first cell, the guard's settings, and the samples.

    ``python`` is the interpreter of the kernel's environment, None for a kernel of another
    language, which gets no guard. Raises :class:`ConfigurationError` for options that contradict
    each other.
    """

    def __init__(self, options: GpuOptions, *, python: str | None, cwd: Path) -> None:
        self._options = options
        self._python = python
        self._cwd = cwd
        self._stack = ExitStack()
        self._settings = guard.settings(options, Path())
        self._sampler = Sampler() if options.sampling else None
        self._stop = threading.Event()
        self._diagnosis: Diagnosis | None = None
        self._failure: StepError | None = None
        self._timeline: Timeline | None = None
        self._looking = threading.Thread(target=self._look, daemon=True)

    @property
    def environment(self) -> dict[str, str]:
        """What the kernel's environment gets in addition."""
        return self._settings.environment() if self._python else {}

    def __enter__(self) -> Self:
        """Begin to look and to sample."""
        scratch = tempfile.TemporaryDirectory(prefix="sk-gpu-", ignore_cleanup_errors=True)
        report = Path(self._stack.enter_context(scratch), "guard.jsonl")
        self._settings = replace(self._settings, report=report)
        if self._sampler:
            self._stack.enter_context(self._sampler)
        if self._options.gpu in {"required", "optional"}:
            self._looking.start()
            self._stack.callback(self._look_no_longer)
        return self

    def __exit__(self, *exception: object) -> None:
        """End all of it."""
        self._stack.close()

    def kernel_started(self, pid: int) -> None:
        """Sample process ``pid`` and its children too."""
        if self._sampler:
            self._sampler.follow(pid)

    def check(self) -> None:
        """Wait until it is clear that the GPU can be used, if it is required.

        Raises what :func:`preflight.diagnose` found wrong.
        """
        if self._options.gpu != "required":
            return
        self._looking.join()
        if self._failure:
            raise self._failure
        if self._diagnosis and self._diagnosis.trouble:
            raise self._diagnosis.error()

    def ended(self, execution: Execution) -> Execution:
        """Return ``execution`` with the most memory of each cell."""
        if not self._sampler:
            return execution
        self._timeline = self._sampler.timeline(execution.started)
        ran = [cell for cell in execution.cells if cell.began is not None]
        peaks = timeline.peaks(self._timeline, [_window(cell) for cell in ran])
        found = {cell.index: peak for cell, peak in zip(ran, peaks, strict=True)}
        cells = [_with(cell, *found.get(cell.index, (None, None))) for cell in execution.cells]
        return replace(execution, cells=cells)

    def outputs(
        self, output: Path, execution: Execution, error: StepError | None, metrics: Path | None
    ) -> dict[str, Any]:
        """Return the fields of :class:`GpuOutputs` but the attempts.

        The timeline is written beside ``output``, and ``metrics``; what cannot be written never
        hides the verdict, which ``error`` is if it is a bad one.
        """
        found: dict[str, Any] = {}
        if self._settings.mode != "off":
            told = guard.read(self._settings.report)
            found = {"guard": asdict(told), "allocator": told.allocator if told.rmm else ""}
            if not told.active and self._options.rmm_mode != "respect":
                logger.warning("the guard was not active: nothing of --rmm-mode was done")
        summary = None
        if samples := self._timeline:
            summary = timeline.summary(samples)
            peaks = [device.memory_peak or 0 for device in summary.devices]
            found |= {"gpu": asdict(summary), "gpu_memory_peak": max(peaks, default=None)}
            path = output.with_suffix(timeline.SUFFIX)
            found["timeline"] = _written(path, lambda: timeline.write(samples, path))
        if metrics:
            found["metrics"] = _written(
                metrics.absolute(),
                lambda: measured.write(metrics, output.stem, execution, error, summary),
            )
        return found

    def explained(self, error: StepError, execution: Execution) -> StepError:
        """Return ``error``, or what it means when the GPU is at the bottom of it."""
        failed = next((cell for cell in execution.cells if cell.status == "error"), None)
        if not failed or error.reason != Reason.CELL_ERROR:
            return error
        cause = causes.find(failed.ename, failed.evalue)
        if not cause:
            return error
        found = self._found(cause)
        message = f"{found.text}: {error}; {found.remedy}"
        return found.cause.error(message, reason=found.cause.reason)

    def _found(self, told: Cause) -> Trouble:
        """Return what a look of our own finds wrong: the texts of CUDA's errors mislead."""
        if self._options.gpu == "none":
            return Trouble(cause=causes.NO_DEVICE, hidden=_HIDDEN)
        if told.reason == Reason.GPU_OUT_OF_MEMORY:
            return Trouble(cause=told)
        if self._looking.ident:
            self._looking.join()
        if not self._diagnosis:
            self._look()
        found = self._diagnosis.found if self._diagnosis else None
        return found or Trouble(cause=told)

    def _look(self) -> None:
        try:
            self._diagnosis = found = preflight.diagnose(
                self._python or sys.executable,
                need="required" if self._options.gpu == "required" else "optional",
                directory=self._cwd,
                stop=self._stop,
            )
        except StepError as error:
            self._failure = error
        else:
            if self._options.gpu == "optional" and found.trouble:
                logger.warning("the notebook goes on without a GPU: %s", found.message)

    def _look_no_longer(self) -> None:
        self._stop.set()
        self._looking.join()


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
        return None
    return path
