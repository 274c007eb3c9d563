"""Check the GPU while the kernel starts, and explain a cell's error by what the check found."""

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
    from stepkit.notebook.verdict import Execution

logger = logging.getLogger(__name__)

_HIDDEN: Final = Cause(
    name="hidden",
    what="every GPU is hidden from the notebook (--gpu none)",
    remedy="run it with --gpu auto or required",
    reason=Reason.GPU_MISSING,
)

_LESS: Final = "use less data, free what is not needed, or take a larger GPU"


class ConcurrentCheck:
    """Checks the GPU that a kernel finds, once: in a thread after ``start``, else when needed.

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
        # Waited for in place of the thread: Python before 3.13 takes a thread for ended after a
        # signal interrupted its join, and the probe would be left behind.
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._check, daemon=True)
        self._diagnosis: Diagnosis | None = None
        self._failure: Exception | None = None

    def start(self) -> None:
        """Begin to check."""
        self._thread.start()

    def close(self) -> None:
        """Stop the check."""
        self._stop.set()
        if self._thread.ident:
            self._done.wait()

    def require(self) -> None:
        """Wait for the end of the check.

        If the GPU is required, raises :class:`StepError` when it cannot be used, and an error of
        the check itself as it is: it shows nothing about the GPU.
        """
        self._done.wait()
        if self._need != "required":
            return
        if self._failure:
            raise self._failure
        if self._diagnosis and self._diagnosis.trouble:
            raise self._diagnosis.error()

    def explained(self, error: StepError, execution: Execution, *, retried: bool) -> StepError:
        """Return ``error``, or the error that explains it when the GPU is its cause.

        With ``retried``, a full GPU leads to another attempt anyway, so the message does not advise
        one.
        """
        failed = next((cell for cell in execution.cells if cell.status == "error"), None)
        raised = failed and failed.error
        cause = raised and remedies.find(raised.ename, raised.evalue)
        if not raised or not cause:
            return error
        found = self._trouble_behind(cause)
        full = found.cause.reason == Reason.GPU_OUT_OF_MEMORY
        remedy = _LESS if full and retried else found.remedy
        line = str(error)
        if name := re.search(r"cudaError\w+|CUDA_ERROR_\w+", raised.evalue):
            line = line.replace(" ".join(raised.evalue.split()), name[0])  # CUDA's text misleads
        explained = found.cause.error(f"{found.text}: {line}; {remedy}", reason=found.cause.reason)
        explained.evidence = error.evidence
        return explained

    def _trouble_behind(self, cause: Cause) -> Trouble:
        """Return what a check finds wrong, or the ``cause`` that the error names."""
        if self._need == "none":
            return Trouble(cause=_HIDDEN)
        if cause.reason == Reason.GPU_OUT_OF_MEMORY:
            return Trouble(cause=cause)
        if self._thread.ident:
            self._done.wait()
        else:
            self._check()
        found = self._diagnosis.found if self._diagnosis else None
        return found or Trouble(cause=cause)

    def _check(self) -> None:
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
                logger.warning("cannot tell whether there is a GPU: %s", error)
        else:
            if self._need == "optional" and found.trouble:
                logger.warning("the notebook goes on without a GPU: %s", found.message)
        finally:
            self._done.set()
