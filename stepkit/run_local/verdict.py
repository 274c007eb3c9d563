"""Turn the failure of a task into the error that ends the run."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError, UserCodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stepkit.errors import Evidence
    from stepkit.run_local.secret_files import SecretUse
    from stepkit.system.process import Completed

_MESSAGE: Final = 4096  # bytes: a container's termination message, where Tekton keeps them all
_MESSAGES: Final = 12288  # bytes: what the kubelet keeps of all containers of a pod
_INIT_CONTAINERS: Final = 2  # Tekton's own: prepare, and one for a workingDir

_SIGKILLED: Final = (-9, 137)  # by itself, or below a shell or a container's runtime
_ERROR_LINE: Final = re.compile(r"(?:^|[\s:])error:+\s*(\S.*)")
_CLASSES: Final[Mapping[int, type[StepError]]] = {
    kind.exit_code: kind for kind in (ConfigurationError, UserCodeError)
}


def failure(
    label: str,
    done: Completed,
    results: Mapping[str, str],
    redact: Callable[[str], str],
    *,
    oom_killed: bool = False,
    evidence: Evidence | None = None,
    lacking: Mapping[str, SecretUse] = MappingProxyType({}),
) -> StepError:
    """Return the error of a step that failed, from its exit code and from what it wrote.

    A stepkit command writes the results ``reason`` and ``message``; any other program may print a
    line with ``error:``, and the last one counts. ``oom_killed`` says that the OOM killer ended a
    process while the step ran: one that SIGKILL ended is then out of memory. ``lacking`` are the
    secrets that were not given, by their variables: one that lacks access may need them.
    """
    if oom_killed and done.code in _SIGKILLED:
        message = f"task {label} was killed for memory: the OOM killer ended a process of it"
        return ToolError(message, reason=Reason.OUT_OF_MEMORY, evidence=evidence)
    errors = [match[1] for line in done.output.splitlines() if (match := _ERROR_LINE.search(line))]
    said = (results.get("message", "").strip() or (errors or [""])[-1]).strip()
    what, usual = f"failed with exit code {done.code}", Reason.TASK_FAILED
    if done.code < 0:
        what, usual = f"was killed by signal {-done.code}", Reason.KILLED
    kind = _CLASSES.get(done.code, ToolError)
    text = f"task {label} {what}" + (f": {said}" if said else "")
    word = results.get("reason", "").strip()
    reason = Reason(word) if word in set(Reason) and word != Reason.OK else usual
    if reason is Reason.AUTH and lacking:
        name, use = next(iter(lacking.items()))
        text += (
            f" ({name} comes from {use}, which is not given, and not from this shell: "
            f"add --secret {use.name}=DIR, where DIR/{use.key} holds the value)"
        )
    return kind(redact(text), reason=reason, evidence=evidence)


def brief(label: str, error: StepError) -> str:
    """Return the message of a task's error without the words that name the task."""
    return str(error).removeprefix(f"task {label} ").removeprefix("failed with ")


def timed_out(label: str, what: str, seconds: float) -> StepError:
    """Return the error of a task that took longer than its timeout."""
    message = f"task {label} was stopped: {what} took over {seconds:g} s"
    return ToolError(message, reason=Reason.TIMEOUT)


def cancelled(label: str) -> StepError:
    """Return the error of a task that was running when a signal came."""
    return ToolError(f"task {label} was cancelled", reason=Reason.CANCELLED)


def invalid_result(label: str, problem: str) -> StepError:
    """Return the error of a task with a result of the wrong type, or without a required one."""
    return ToolError(f"task {label}: {problem}", reason=Reason.TASK_FAILED)


def room_for_results(steps: int) -> int:
    """Return how many bytes Tekton has for the results of a Task with so many steps.

    With more, a step fails on a cluster; in a Task of several steps, the results are lost.
    """
    return min(_MESSAGE, _MESSAGES // (_INIT_CONTAINERS + steps))


def results_too_large(label: str, size: int, limit: int) -> StepError:
    """Return the error of a task whose results are too large for Tekton."""
    return ToolError(
        f"task {label}: its results take {size} bytes, Tekton has room for {limit}: "
        "write a file to a workspace and return its path",
        reason=Reason.TASK_FAILED,
    )
