"""A look at the GPU beside the kernel's start, and what a cell's error means in its light."""

from __future__ import annotations

import logging
import re
import sys
import threading
from typing import TYPE_CHECKING, Final

from stepkit.errors import Reason, StepError
from stepkit.gpu.health import preflight, remedies
from stepkit.gpu.health.diagnosis import Trouble
from stepkit.gpu.health.remedies import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stepkit.gpu.health.preflight import Diagnosis
    from stepkit.gpu.step_options import Need
    from stepkit.notebook.verdict import CellRun, Execution

logger = logging.getLogger(__name__)

_HIDDEN: Final = Cause(
    name="hidden",
    what="every GPU is hidden from the notebook (--gpu none)",
    remedy="run it with --gpu auto or required",
    reason=Reason.GPU_MISSING,
)

_LESS: Final = "use less data, free what is not needed, or take a larger GPU"


class Look:
    """Looks at the GPU that a kernel finds, once, in a thread if started.

    ``python`` is the kernel's interpreter, None stands for ours; ``env`` is its whole environment.
    """

    def __init__(
        self, need: Need, *, python: str | None, cwd: Path, env: Mapping[str, str]
    ) -> None:
        self._need = need
        self._python = python or sys.executable
        self._cwd = cwd
        self._env = env
        self._stop = threading.Event()
        # Waited for in place of the thread: a join that a signal interrupts takes it for ended
        # (Python before 3.13), and its process would be left behind.
        self._seen = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._diagnosis: Diagnosis | None = None
        self._failure: Exception | None = None

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Look no longer."""
        self._stop.set()
        if self._thread.ident:
            self._seen.wait()

    def require(self) -> None:
        """Wait for what is seen. Raises :class:`StepError` when the GPU cannot be used.

        What broke the look itself is raised as it is: then nobody knows of a GPU.
        """
        self._seen.wait()
        if self._failure:
            raise self._failure
        if self._diagnosis and self._diagnosis.trouble:
            raise self._diagnosis.error()

    def explained(self, error: StepError, execution: Execution, *, retried: bool) -> StepError:
        """Return ``error``, or what it means when the GPU is at the bottom of it.

        ``retried`` is whether full memory leads to another attempt anyway: no need to advise it.
        """
        failed = next((cell for cell in execution.cells if cell.status == "error"), None)
        cause = failed and remedies.find(failed.ename, failed.evalue)
        if not failed or not cause:
            return error
        found = self._found(cause)
        full = found.cause.reason == Reason.GPU_OUT_OF_MEMORY
        remedy = _LESS if full and retried else found.remedy
        message = f"{found.text}: {_with_name(error, failed)}; {remedy}"
        return found.cause.error(message, reason=found.cause.reason)

    def _found(self, told: Cause) -> Trouble:
        """Return what a look of our own finds wrong: the texts of CUDA's errors mislead."""
        if self._need == "none":
            return Trouble(cause=_HIDDEN)
        if told.reason == Reason.GPU_OUT_OF_MEMORY:
            return Trouble(cause=told)
        if self._thread.ident:
            self._seen.wait()
        else:
            self._look()
        found = self._diagnosis.found if self._diagnosis else None
        return found or Trouble(cause=told)

    def _look(self) -> None:
        try:
            self._diagnosis = found = preflight.diagnose(
                self._python,
                need="required" if self._need == "required" else "optional",
                env=self._env,
                directory=self._cwd,
                stop=self._stop,
            )
        except Exception as error:  # noqa: BLE001 - in a thread, and raised in `require`
            self._failure = error
            if self._need == "optional":
                logger.warning("nobody knows whether there is a GPU: %s", error)
        else:
            if self._need == "optional" and found.trouble:
                logger.warning("the notebook goes on without a GPU: %s", found.message)
        finally:
            self._seen.set()


def _with_name(error: StepError, failed: CellRun) -> str:
    """Return the error's line with the name of CUDA's error alone: its text misleads."""
    name = re.search(r"cudaError\w+|CUDA_ERROR_\w+", failed.evalue)
    whole, line = " ".join(failed.evalue.split()), str(error)
    return line.replace(whole, name[0]) if name else line
