"""Say why a task failed, and whose fault it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError, UserCodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stepkit.system.process import Completed

OVERHEAD: Final = 100  # bytes: what else Tekton writes beside the results
_MESSAGE: Final = 4096  # bytes: a container's termination message, where Tekton keeps them all
_MESSAGES: Final = 12288  # bytes: what the kubelet keeps of all containers of a pod
_INIT_CONTAINERS: Final = 2  # Tekton's own: prepare, and one for a workingDir

_ERROR_LINE: Final = re.compile(r"(?:^|[\s:])error:+\s*(\S.*)")
_CLASSES: Final[Mapping[int, type[StepError]]] = {
    kind.exit_code: kind for kind in (ConfigurationError, UserCodeError)
}


def failure(
    label: str, done: Completed, results: Mapping[str, str], redact: Callable[[str], str]
) -> StepError:
    """Judge a step that ended with a failure, from its exit code and from what it wrote.

    A stepkit command says in its results ``reason`` and ``message`` what happened; any other
    program may do so on a line with ``error:``.
    """
    said = results.get("message", "").strip() or _last_error(done.output)
    what, usual = f"failed with exit code {done.code}", Reason.TASK_FAILED
    if done.code < 0:
        what, usual = f"was killed by signal {-done.code}", Reason.KILLED
    kind = _CLASSES.get(done.code, ToolError)
    text = f"task {label} {what}" + (f": {said}" if said else "")
    return kind(redact(text), reason=_reason(results.get("reason", "")) or usual)


def timed_out(label: str, what: str, seconds: float) -> StepError:
    """Judge a task that took too long."""
    message = f"task {label} was stopped: {what} took over {seconds:g} s"
    return ToolError(message, reason=Reason.TIMEOUT)


def cancelled(label: str) -> StepError:
    """Judge a task that was running when a signal came."""
    return ToolError(f"task {label} was cancelled", reason=Reason.CANCELLED)


def invalid_result(label: str, problem: str) -> StepError:
    """Judge a task that wrote a result of the wrong shape, or left a needed one out."""
    return ToolError(f"task {label}: {problem}", reason=Reason.TASK_FAILED)


def room_for_results(steps: int) -> int:
    """Return how many bytes Tekton has for the results of a Task with so many steps.

    Above it a step fails; in a Task of several steps, the results just vanish.
    """
    return min(_MESSAGE, _MESSAGES // (_INIT_CONTAINERS + steps))


def results_too_large(label: str, size: int, limit: int) -> StepError:
    """Judge a task whose results Tekton has no room for."""
    return ToolError(
        f"task {label}: its results take {size} bytes, Tekton has room for {limit}: "
        "write a file to a workspace and return its path",
        reason=Reason.TASK_FAILED,
    )


def _last_error(output: str) -> str:
    said = [match[1] for line in output.splitlines() if (match := _ERROR_LINE.search(line))]
    return said[-1].strip() if said else ""


def _reason(text: str) -> Reason | None:
    word = text.strip()
    return Reason(word) if word in set(Reason) and word != Reason.OK else None
