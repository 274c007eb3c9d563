"""Run a step from Python: in a separate process, so that nothing of the caller's changes."""

from __future__ import annotations

import logging
import os  # noqa: TC003 - typed_functions reads the signature of run
import threading  # noqa: TC003 - as os
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from stepkit.api import arguments, read_result
from stepkit.errors import ConfigurationError, Reason, StepError, ToolError, UserCodeError
from stepkit.formats.did_you_mean import did_you_mean
from stepkit.step import StepResult  # noqa: TC001 - as os
from stepkit.steps import STEPS
from stepkit.system import cgroup, os_errors, stepkit_process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from _typeshed import DataclassInstance

    from stepkit.system.process import Completed

# As in any library, its log is nowhere until the program says where.
logging.getLogger("stepkit").addHandler(logging.NullHandler())

GRACE_SECONDS: Final = 20.0  # a notebook that is stopped is saved within 10 s

_PASSED: Final = {"succeeded", "tolerated", "flaky"}
_ERRORS: Final[dict[int, type[StepError]]] = {
    error.exit_code: error for error in (ConfigurationError, UserCodeError)
}


def run(
    step: str,
    /,
    *,
    report: str | os.PathLike[str] | None = None,
    secrets_from_environment: bool = False,
    stop: threading.Event | None = None,
    **options: Any,
) -> StepResult:
    """Run a step, such as ``"execute-notebook"``, and return how it ended.

    ``options`` are those of its command, with ``_`` for ``-``; a secret, such as ``token``, is one
    of them. An option that takes several values takes a list; None is its default.

    ``report`` is a file for the JSON report of the step. With ``secrets_from_environment``, secrets
    that are not given come from the variables that the command reads. When another thread sets
    ``stop``, the step saves what it has and ends.

    Raises :class:`ConfigurationError`, :class:`UserCodeError` or :class:`ToolError`, whose
    ``result`` is what would have been returned, and :class:`RuntimeError` for a bug in stepkit.
    """
    if step not in STEPS:
        raise ConfigurationError(f"there is no step {step}{did_you_mean(step, STEPS)}")
    module = STEPS[step]
    words = arguments.spell(module.Options, options)
    env = arguments.variables(module.Options, options, inherited=secrets_from_environment)
    return run_command(step, words, env=env, report=report, stop=stop)


def run_command(
    step: str,
    words: Sequence[str],
    *,
    env: Mapping[str, str | None],
    report: str | os.PathLike[str] | None = None,
    stop: threading.Event | None = None,
    defaults: bool = False,
) -> StepResult:
    """Run the command of ``step`` with the arguments ``words``, as :func:`run` does.

    ``env`` is added to the environment; None leaves a variable out. With ``defaults``, the command
    takes those of stepkit.yaml and of variables.
    """
    with ExitStack() as stack, os_errors.explaining_the_rest():
        path = Path(report).absolute() if report else stack.enter_context(_temporary_report())
        before, kills = stepkit_process.stamp(path), cgroup.oom_kills()
        done = stepkit_process.run(
            [step, *words, f"--report={path}"],
            prefix="",
            env=env,
            stop=stop,
            kill=None,
            grace=GRACE_SECONDS,
            defaults=defaults,
        )
        if stepkit_process.stamp(path) == before:
            reason, message = stepkit_process.explain_missing_report(done)
            if stop and stop.is_set():  # its SIGTERM came before Python was up
                reason = Reason.CANCELLED
            raise _ERRORS.get(done.code, ToolError)(message, reason=reason)
        try:
            result, outputs = read_result.read(path, STEPS[step].Outputs)
        except (KeyError, TypeError, ValueError) as error:
            raise ToolError(f"the report of {step} cannot be read: {error}") from error
        result = _judge(result, done, oom_killed=kills != cgroup.oom_kills())
        if result.status in _PASSED:
            return result
        raise _error(result, outputs)


@contextmanager
def _temporary_report() -> Iterator[Path]:
    try:
        directory = TemporaryDirectory(prefix="stepkit-", ignore_cleanup_errors=True)
    except OSError as error:
        raise os_errors.explain("cannot make a directory for the report", error) from error
    with directory as path:
        yield Path(path, "report.json")


def _judge(result: StepResult, done: Completed, *, oom_killed: bool) -> StepResult:
    """Return ``result``, as failed unless its exit code and that of its process agree."""
    if done.code < 0:
        reason, why = Reason.KILLED, f"its process was killed by {stepkit_process.signal_of(done)}"
        if oom_killed and done.code == -SIGKILL:
            reason, why = Reason.OUT_OF_MEMORY, "its process was killed for memory"
        return replace(result, status="failed", reason=reason, message=why)
    if done.code != result.exit_code:
        said = f"{result.status}, exit code {result.exit_code}"
        why = f"its report says {said}, but its process ended with {done.code}"
        return replace(result, status="failed", reason=Reason.TOOL_FAILED, message=why)
    return result


def _error(result: StepResult, outputs: DataclassInstance | None) -> Exception:
    if result.reason == Reason.BUG:
        return RuntimeError(result.message)
    error = _ERRORS.get(result.exit_code or 0, ToolError)(
        result.message,
        reason=result.reason,
        outputs=outputs,
        evidence=result.error,
        place=result.place,
    )
    error.result = result
    return error
