"""How a step can end badly: the reason in one word, and the exit code of its class.

Steps raise these; only :mod:`stepkit.cli.main` turns one into a message and an exit code.
Code 1 is left to Python, for an exception that nobody expected: a bug in stepkit.
"""

from __future__ import annotations

from enum import StrEnum
from signal import SIGHUP, SIGINT, SIGTERM, Signals
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

STOPPING: Final = (SIGINT, SIGTERM, SIGHUP)  # signals that ask to save and end


class Reason(StrEnum):
    """Why a step ended as it did: the closed list of what a report may say."""

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
    TASK_FAILED = "task-failed"

    KERNEL_HUNG = "kernel-hung"
    GPU_OUT_OF_MEMORY = "gpu-out-of-memory"
    GPU_BUSY = "gpu-busy"
    OUT_OF_MEMORY = "out-of-memory"
    NETWORK = "network"
    CHECKSUM = "checksum"
    DISK_FULL = "disk-full"
    TOOL_FAILED = "tool-failed"

    CANCELLED = "cancelled"
    KILLED = "killed"
    BUG = "bug"


class StepError(Exception):
    """The step could not do what it was asked; its message is shown as it is.

    ``outputs`` is what the step left behind all the same: it is reported like a success's.
    """

    exit_code: ClassVar[int]
    usual: ClassVar[Reason]

    def __init__(
        self,
        message: str,
        *,
        reason: Reason | None = None,
        outputs: DataclassInstance | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason or self.usual
        self.outputs = outputs

    def leaving(self, outputs: DataclassInstance | None, *, prefix: str = "") -> StepError:
        """Return the same error, carrying what the step left behind."""
        return type(self)(prefix + str(self), reason=self.reason, outputs=outputs)


class ConfigurationError(StepError):
    """The options, or what they point at, are wrong: trying again cannot help."""

    exit_code = 2  # argparse's own code for a usage error
    usual = Reason.BAD_INPUT


class UserCodeError(StepError):
    """The notebook or test that the step ran has failed, or a check found a defect."""

    exit_code = 3
    usual = Reason.CELL_ERROR


class ToolError(StepError):
    """An external tool or service gave up: trying again may help."""

    exit_code = 4
    usual = Reason.TOOL_FAILED


class Cancelled(KeyboardInterrupt):
    """A signal asked the step to stop; what was done so far is saved.

    It is no :class:`Exception`, so that no tool's own error handling swallows it.
    """

    def __init__(
        self, signum: int = SIGINT, *, outputs: DataclassInstance | None = None, message: str = ""
    ) -> None:
        super().__init__(message or f"stopped by {Signals(signum).name}")
        self.signum = signum
        self.exit_code = 128 + signum  # the shell's convention: 130 for SIGINT, 143 for SIGTERM
        self.outputs = outputs
