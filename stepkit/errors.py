"""The errors of steps, each with a reason in one word and the exit code of its class.

Steps raise them; only :mod:`stepkit.cli.main` turns them into a message and an exit code. Exit
code 1 is Python's own, for any other exception: a bug in stepkit.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from signal import SIGHUP, SIGINT, SIGTERM, Signals
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from stepkit.step import StepResult

MOST_TRACEBACK: Final = 40  # lines of a traceback that evidence keeps
STOPPING: Final = (SIGINT, SIGTERM, SIGHUP)  # signals that ask a step to save its work and end


class Reason(StrEnum):
    """Why a step ended as it did; a report has no other reasons than these."""

    OK = "ok"

    BAD_INPUT = "bad-input"
    NOT_FOUND = "not-found"
    AUTH = "auth"
    GPU_MISSING = "gpu-missing"
    GPU_UNFIT = "gpu-unfit"

    CELL_ERROR = "cell-error"
    EARLY_EXIT = "early-exit"
    CELLS_NOT_RUN = "cells-not-run"
    KERNEL_DIED = "kernel-died"
    TIMEOUT = "timeout"
    TESTS_FAILED = "tests-failed"
    NO_TESTS = "no-tests"
    TESTS_BROKEN = "tests-broken"
    ARTIFACT_MISSING = "artifact-missing"
    ARTIFACT_INVALID = "artifact-invalid"
    TASK_FAILED = "task-failed"
    REGRESSION = "regression"
    CPU_FALLBACK = "cpu-fallback"
    OUTPUTS_DIFFER = "outputs-differ"
    FLAKY = "flaky"

    KERNEL_HUNG = "kernel-hung"
    GPU_OUT_OF_MEMORY = "gpu-out-of-memory"
    GPU_BUSY = "gpu-busy"
    GPU_FAILED = "gpu-failed"
    OUT_OF_MEMORY = "out-of-memory"
    NETWORK = "network"
    CHECKSUM = "checksum"
    DISK_FULL = "disk-full"
    TOOL_FAILED = "tool-failed"

    CANCELLED = "cancelled"
    KILLED = "killed"
    BUG = "bug"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What shows why a cell, a test or a step failed.

    ``source`` is the code that failed, and ``line`` the number in it, from 1, of the line that did;
    None if that is unknown. ``traceback`` keeps its ANSI colours; it has the last
    :data:`MOST_TRACEBACK` lines, and ``left_out`` says how many came before them. ``output`` are
    the last lines that were printed, and ``stack`` is where all threads were when a kernel hung or
    died, in the words of Python's faulthandler.
    """

    ename: str = ""
    evalue: str = ""
    source: str = ""
    line: int | None = None
    traceback: str = ""
    left_out: int = 0
    output: tuple[str, ...] = ()
    stack: str = ""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a step failed, for the annotation of a CI service.

    ``title`` says it in a few words, such as ``cell 12 of 40``; ``file`` is a path as the user gave
    it, and ``line`` a number in that file, from 1.
    """

    title: str
    file: str = ""
    line: int | None = None


class StepError(Exception):
    """The step failed; its message is shown to the user as it is.

    ``outputs`` is what the step has produced all the same; it is reported as after a success.
    ``evidence`` shows why it failed, where more than the message is known, and ``place`` where.
    ``result`` is what the step's report says, if the step ran by the Python API.
    """

    exit_code: ClassVar[int]
    default_reason: ClassVar[Reason]
    result: StepResult | None = None

    def __init__(
        self,
        message: str,
        *,
        reason: Reason | None = None,
        outputs: DataclassInstance | None = None,
        evidence: Evidence | None = None,
        place: Place | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason or self.default_reason
        self.outputs = outputs
        self.evidence = evidence
        self.place = place

    def leaving(
        self, outputs: DataclassInstance | None, *, prefix: str = "", suffix: str = ""
    ) -> StepError:
        """Return the same error with ``outputs``, its message between ``prefix`` and ``suffix``."""
        return type(self)(
            f"{prefix}{self}{suffix}",
            reason=self.reason,
            outputs=outputs,
            evidence=self.evidence,
            place=self.place,
        )


class ConfigurationError(StepError):
    """The options, or what they point at, are wrong: a retry cannot help."""

    exit_code = 2  # argparse's own code for a usage error
    default_reason = Reason.BAD_INPUT


class UserCodeError(StepError):
    """The notebook or test that the step ran failed, or a check found a defect."""

    exit_code = 3
    default_reason = Reason.CELL_ERROR


class ToolError(StepError):
    """An external tool or service failed: a retry may help."""

    exit_code = 4
    default_reason = Reason.TOOL_FAILED
    retry_after: float | None = None  # seconds that the server asked to wait


class Cancelled(KeyboardInterrupt):
    """A signal asked the step to stop; what was done so far is saved.

    It is not an :class:`Exception`, so that the error handling of a tool does not catch it.
    """

    def __init__(
        self, signum: int = SIGINT, *, outputs: DataclassInstance | None = None, message: str = ""
    ) -> None:
        super().__init__(message or f"stopped by {Signals(signum).name}")
        self.signum = signum
        self.exit_code = 128 + signum  # the shell's convention: 130 for SIGINT, 143 for SIGTERM
        self.outputs = outputs
