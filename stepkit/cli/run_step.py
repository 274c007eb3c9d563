"""Run one step and say how it ended, also if it never gets to say so itself."""

from __future__ import annotations

import dataclasses
import logging
import time
from datetime import UTC, datetime
from inspect import get_annotations
from typing import TYPE_CHECKING

from stepkit.cli import step_report
from stepkit.errors import Cancelled, Reason, StepError
from stepkit.options import PRINTED, declared
from stepkit.step import Status, Step, StepResult, kebab
from stepkit.system import os_errors, stop_requests

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

logger = logging.getLogger(__name__)


def execute(name: str, step: Step, options: DataclassInstance) -> StepResult:
    """Run ``step`` once.

    A :class:`StepError` becomes a failed result, as does what the machine refused, and a signal a
    cancelled one; another exception is a bug, and is not caught. No signal is raised after it.
    """
    logger.log(logging.DEBUG if answers(step) else logging.INFO, "%s: started", name)
    started, clock = datetime.now(UTC), time.monotonic()
    outputs: DataclassInstance | None = None
    status: Status = "succeeded"
    reason, message, exit_code, evidence, place = Reason.OK, "", 0, None, None
    try:
        try:
            with os_errors.explaining_the_rest():
                outputs = step.run(options)
        except StepError as error:
            status, reason, message = "failed", error.reason, str(error)
            exit_code, outputs = error.exit_code, error.outputs
            evidence, place = error.evidence, error.place
        else:
            status = getattr(outputs, "status", status)
            message = getattr(outputs, "message", message)
        stop_requests.take()
    except KeyboardInterrupt as stop:
        stop_requests.take()
        cancelled = stop if isinstance(stop, Cancelled) else Cancelled()
        status, reason, message = "cancelled", Reason.CANCELLED, str(cancelled)
        exit_code, outputs = cancelled.exit_code, cancelled.outputs or outputs
    own = get_annotations(type(outputs)) if outputs else {}  # those it inherits come after them
    fields = dataclasses.fields(outputs) if outputs else ()
    names = sorted((field.name for field in fields), key=lambda name: name not in own)
    return StepResult(
        step=name,
        status=status,
        reason=reason,
        message=message,
        exit_code=exit_code,
        started=started.isoformat(timespec="milliseconds"),
        seconds=round(time.monotonic() - clock, 3),
        error=evidence,
        place=place,
        outputs={kebab(name): getattr(outputs, name) for name in names},
    )


def answers(step: Step) -> bool:
    """Return whether a command only prints an answer: a success says nothing besides."""
    return any(PRINTED in o.notes and o.required for o in declared(step.Outputs))


def unfinished(name: str, options: DataclassInstance | None = None) -> StepResult:
    """Return what is true if this process never gets to say anything else.

    It is written before the step starts, and replaced at its end; what stays of it belongs to a
    step that was killed at once: by the kernel's OOM killer, an eviction or a hard timeout.
    """
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    result = StepResult(
        step=name,
        status="failed",
        reason=Reason.KILLED,
        message=f"started at {started} and never ended: killed from outside "
        "(out of memory, eviction, or a hard timeout)",
        exit_code=None,
        started=started,
        seconds=0,
    )
    return step_report.complete(result, options)


def refused(started: StepResult, why: StepError) -> StepResult:
    """Return the result of a step that does not begin: nothing was done."""
    return dataclasses.replace(
        started,
        reason=why.reason,
        message=str(why),
        exit_code=why.exit_code,
        error=why.evidence,
        place=why.place,
    )


def stopped(started: StepResult, stop: KeyboardInterrupt) -> StepResult:
    """Return the result of a step that a signal stopped before it began: nothing was done."""
    cancelled = stop if isinstance(stop, Cancelled) else Cancelled()
    return dataclasses.replace(
        started,
        status="cancelled",
        reason=Reason.CANCELLED,
        message=f"{cancelled} before it began",
        exit_code=cancelled.exit_code,
    )


def bug(started: StepResult, error: Exception) -> StepResult:
    """Return the result of a step in which stepkit itself broke; the traceback is on stderr."""
    message = f"a bug in stepkit: {type(error).__name__}: {error}"
    return dataclasses.replace(started, reason=Reason.BUG, message=message, exit_code=1)
