"""Run one step and say how it ended."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from inspect import get_annotations
from typing import TYPE_CHECKING, Any

from stepkit.errors import Cancelled, Reason, StepError
from stepkit.step import Status, Step, StepResult, kebab

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

logger = logging.getLogger(__name__)


def execute(name: str, step: Step, options: DataclassInstance) -> StepResult:
    """Run ``step`` once.

    A :class:`StepError` becomes a failed result and a signal a cancelled one; an exception that
    is neither is a bug, and is not caught.
    """
    logger.info("%s: started", name)
    started, clock = datetime.now(UTC), time.monotonic()
    outputs: DataclassInstance | None
    status: Status = "succeeded"
    reason, message, exit_code = Reason.OK, "", 0
    try:
        outputs = step.run(options)
        status = getattr(outputs, "status", status)
        message = getattr(outputs, "message", message)
    except StepError as error:
        status, reason, message = "failed", error.reason, str(error)
        exit_code, outputs = error.exit_code, error.outputs
    except KeyboardInterrupt as stop:
        cancelled = stop if isinstance(stop, Cancelled) else Cancelled()
        status, reason, message = "cancelled", Reason.CANCELLED, str(cancelled)
        exit_code, outputs = cancelled.exit_code, cancelled.outputs
    return StepResult(
        step=name,
        status=status,
        reason=reason,
        message=message,
        exit_code=exit_code,
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - clock, 3),
        outputs=_by_name(outputs) if outputs else {},
    )


def _by_name(outputs: DataclassInstance) -> dict[str, Any]:
    own = get_annotations(type(outputs))  # those it inherits come after them
    names = sorted(outputs.__dataclass_fields__, key=lambda name: name not in own)
    return {kebab(name): getattr(outputs, name) for name in names}
