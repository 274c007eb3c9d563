"""Blame the GPU, not the notebook, for a failure after which the driver reports a broken GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.errors import Reason, StepError, UserCodeError
from stepkit.gpu.health import error_patterns, remedies
from stepkit.gpu.health.diagnosis import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable

# NVIDIA's "XID Errors": those that no program can cause.
BROKEN: Final = {
    48: "uncorrectable memory error",
    79: "it fell off the bus",
    94: "contained memory error",
    95: "uncontained memory error",
}


def explained(error: StepError, xids: Iterable[int]) -> StepError:
    """Return ``error``, or the error that the GPU is its cause; ``xids`` are those of the run."""
    found = [number for number in dict.fromkeys(xids) if number in BROKEN]
    if not found or not _may_follow(error):
        return error
    shown = ", ".join(f"XID {number}, {BROKEN[number]}" for number in found)
    trouble = Trouble(cause=remedies.HARDWARE, detail=f"the driver reports {shown}")
    message = f"{trouble.text}: {error}; {trouble.remedy}"
    explained = trouble.cause.error(message, reason=trouble.cause.reason)
    explained.evidence = error.evidence
    return explained


def _may_follow(error: StepError) -> bool:
    """Return whether a broken GPU may show as this error: a KeyError is the notebook's own."""
    if error.reason == Reason.CELL_ERROR:
        return bool(error.evidence and error_patterns.may_be_of_cuda(error.evidence.ename))
    if error.reason == Reason.KERNEL_DIED:  # by itself: what kills it from outside is no GPU
        return isinstance(error, UserCodeError)
    return error.reason in {Reason.KERNEL_HUNG, Reason.TIMEOUT}
