"""What a pipeline itself says of its tasks, and how that changes what their reports say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError
from stepkit.report.steps_of_run import Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

_STATUSES: Final = ("Succeeded", "Failed", "None", "Completed")  # Tekton's
# Tekton's reasons for a task that exited by itself: its report knows more. 1.12 made StepFailed of
# Failed, and gave reasons for the containers that the cluster ended.
_EXITED: Final = ("Failed", "StepFailed", "FailureIgnored")
_KILLED: Final = {
    **dict.fromkeys(
        ("StepOOM", "SidecarOOM", "InitContainerOOM", "OOMKilled"),
        ("failed", "out-of-memory", "the pipeline says that its container was killed for memory"),
    ),
    "PodEvicted": ("failed", "killed", "the pipeline says that its pod was evicted"),
}
OVER: Final = {*_EXITED, *_KILLED}  # the container has ended, and its report stays as it is
# Tekton's reasons for what was ended: the status, the reason and the message of the step.
_STOPPED: Final = {
    **_KILLED,
    "TaskRunCancelled": ("cancelled", "cancelled", "the pipeline says that it was cancelled"),
    "TaskRunTimeout": ("failed", "timeout", "the pipeline says that it took too long"),
}
_FAILED: Final = ("failed", "killed", "the pipeline says that it failed")


def parse(items: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=STATUS`` or ``NAME=STATUS/REASON`` of each task.

    Raises :class:`ConfigurationError` for anything else, and for two about one task.
    """
    found: dict[str, str] = {}
    for item in items:
        name, _, status = item.partition("=")
        if not name or "=" not in item:
            raise ConfigurationError(f"--statuses {item!r} is not NAME=STATUS")
        if status.partition("/")[0] not in _STATUSES:
            raise ConfigurationError(
                f"--statuses {item!r}: a task's status is one of {', '.join(_STATUSES)}"
            )
        if found.setdefault(name, status) != status:
            raise ConfigurationError(f"--statuses says {found[name]} and {status} of {name}")
    return found


def reconcile(
    entry: Entry | None, name: str, status: str | None, *, asked_for: bool = True
) -> Entry:
    """Join what the report of a task and the pipeline say of it: the worse of the two is true.

    ``entry`` is None where there is no report, ``status`` None where the pipeline says nothing.
    A task that was not ``asked_for`` does not lack a report.
    """
    status, _, why = (status or "").partition("/")
    without = Entry(name=name, status="not run" if asked_for else "not asked for")
    if status == "None":  # the report is an earlier run's, in a directory that was used again
        return without
    if status != "Failed":
        return entry or without
    ended, reason, message = _STOPPED.get(why, _FAILED)
    if why not in {*_STOPPED, *_EXITED, ""}:  # no pod, no image, no room for its results
        message += f" ({why})"
    if entry is None:
        message += "; it left no report"
        return Entry(name=name, status=ended, reason=reason, message=message)
    if not entry.bad:
        message = f"its report says {entry.status}, {message}"
    elif why == "TaskRunTimeout" and entry.status == "cancelled":
        message = f"{message}: {entry.message}"  # the step saw SIGTERM alone
    elif why not in _STOPPED or not entry.unfinished:
        return entry
    return replace(entry, status=ended, reason=reason, message=message, exit_code=None)
