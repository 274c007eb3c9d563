"""Run the steps of one TaskRun as child processes, and read back what it leaves."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from stepkit.errors import ConfigurationError, Reason, StepError
from stepkit.run_local import child_log, resume, task_evidence, task_results, verdict
from stepkit.run_local.secret_files import Secrets, SecretUse
from stepkit.run_local.step_command import commands
from stepkit.system import atomic_files, cgroup, process
from stepkit.system.stepkit_process import NO_CONFIG, OPTION_PREFIX
from stepkit.tekton.yaml_documents import Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.run_local.plan import TaskRun
    from stepkit.run_local.step_command import Command

logger = logging.getLogger(__name__)

# Its output comes at once, and its log, which this process logs again, is plain text.
# No defaults of options: a shell or a file on this machine changes no verdict.
_OF_EACH_STEP: Final = {"PYTHONUNBUFFERED": "1", "STEPKIT_LOG_FORMAT": "plain", **NO_CONFIG}

STEP_FAILED: Final = "StepFailed"  # Tekton's reasons, from 1.12 on; before, both were "Failed"
STEP_OOM: Final = "StepOOM"
GRACE_SECONDS: Final = 30.0  # a pod's terminationGracePeriodSeconds, between SIGTERM and SIGKILL
_KILLED: Final = 255  # Tekton's exit code of a step that a signal ended

Status = Literal["Succeeded", "Failed", "None"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one TaskRun ended, in Tekton's words; ``error`` is our verdict on a failure.

    ``reused_from`` is the run whose files all of its steps took, instead of running.
    """

    status: Status
    reason: str
    results: Mapping[str, Value] = field(default_factory=dict)
    error: StepError | None = None
    seconds: float = 0.0
    reused_from: str = ""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the TaskRuns share; ``stop`` asks their processes to end, ``kill`` ends them.

    ``resume`` is the directory of the run that they resume.
    """

    root: Path
    secrets: Secrets
    stop: threading.Event
    kill: threading.Event
    resume: Path | None = None


def run_steps(run: TaskRun, machine: Machine) -> Outcome:
    """Run the steps of ``run``, again after a failure as often as its retries say.

    It never raises a :class:`StepError`: that would be an outcome.
    """
    started = time.monotonic()
    if run.combination:
        shown = ", ".join(f"{name}={value}" for name, value in run.combination.items())
        logger.info("%s: started (%s)", run.label, machine.secrets.redact(shown))
    else:
        logger.info("%s: started", run.label)
    attempts = run.task.retries + 1
    for attempt in range(attempts):
        try:
            outcome = _Attempt(run, machine, attempt).execute()
        except StepError as error:
            shown = machine.secrets.redact(str(error))
            failure = type(error)(f"task {run.label}: {shown}", reason=error.reason)
            outcome = Outcome(status="Failed", reason=STEP_FAILED, error=failure)
        if outcome.status == "Succeeded" or machine.stop.is_set() or attempt == attempts - 1:
            break
        logger.warning(
            "%s: attempt %d of %d failed: %s", run.label, attempt + 1, attempts, outcome.error
        )
    return replace(outcome, seconds=time.monotonic() - started)


class _Attempt:
    """One try of a TaskRun: it has separate directories, and the workspaces as they are."""

    def __init__(self, run: TaskRun, machine: Machine, attempt: int) -> None:
        self.run = run
        self.machine = machine
        self.directory = machine.root / run.label / str(attempt)
        self.commands = commands(run, self.directory, attempt)
        limit = run.task.timeout
        self.deadline = time.monotonic() + limit if limit else None
        self.reused: list[
            str
        ] = []  # the runs that steps took their files from, "" for one that ran

    def execute(self) -> Outcome:
        self._prepare()
        try:
            for command in self.commands:
                failed = self._step(command)
                if failed:
                    return failed
            return Outcome(
                status="Succeeded",
                reason="Succeeded",
                results=self._read(),
                reused_from=self.reused[0] if all(self.reused) else "",
            )
        except task_results.InvalidResult as invalid:
            error = verdict.invalid_result(self.run.label, str(invalid))
            return Outcome(status="Failed", reason="TaskRunValidationFailed", error=error)
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _prepare(self) -> None:
        places = [place for place in self.run.workspaces.values() if place]
        wanted = [self.directory / "results", *places]
        wanted += [self.directory / "steps" / command.step.name for command in self.commands]
        for command in self.commands:
            if command.directory and any(p in command.directory.parents for p in places):
                wanted.append(command.directory)
        for directory in wanted:
            try:
                with atomic_files.explaining(f"cannot make {directory}"):
                    directory.mkdir(parents=True, exist_ok=True)
            except ValueError as error:  # a NUL byte or half a character, out of a result
                raise ConfigurationError(
                    f"cannot make {str(directory)!a}: a directory cannot have this name"
                ) from error

    def _step(self, command: Command) -> Outcome | None:
        """Run one step; return how the Task ended if it ends here."""
        if self.machine.stop.is_set():
            return self._cancelled()
        argv, env = command.process(self.machine.secrets.read)
        argv = child_log.ask_for_all(resume.ask(argv, self.machine.resume))
        log = child_log.ChildLog(
            self.run.label,
            argv,
            alone=len(self.commands) == 1,
            redact=self.machine.secrets.redact,
        )
        named = {name for name, _ in command.env}  # an optional secret may be missing from env
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in named and not name.startswith(OPTION_PREFIX)
        }
        limit, own = self._limit(command)
        kills = cgroup.oom_kills()
        done = process.run(
            argv,
            cwd=command.directory,
            env={**inherited, **_OF_EACH_STEP, **env},
            timeout=limit,
            on_line=log.log,
            stop=self.machine.stop,
            grace=GRACE_SECONDS,
            kill=self.machine.kill,
            kill_on_timeout=own,
        )
        if self.machine.stop.is_set():
            return self._cancelled()
        if done.timed_out:
            return self._timed_out(command, own=own)
        return self._ended(command, argv, done, oom_killed=kills != cgroup.oom_kills())

    def _limit(self, command: Command) -> tuple[float | None, bool]:
        """Return the seconds that are left, and whether the limit is the step's own."""
        left = None if self.deadline is None else max(0.0, self.deadline - time.monotonic())
        own = command.step.timeout
        if own is not None and (left is None or own < left):
            return own, True
        return left, False

    def _ended(
        self, command: Command, argv: Sequence[str], done: process.Completed, *, oom_killed: bool
    ) -> Outcome | None:
        """Return how the Task ended if it ends here; ``oom_killed``: any process was."""
        code = _KILLED if done.code < 0 else done.code
        left = self._written()
        size = left.size()
        if size > (limit := verdict.room_for_results(len(self.commands))):
            error = verdict.results_too_large(self.run.label, size, limit)
            return Outcome(status="Failed", reason=STEP_FAILED, error=error)
        if code and not command.tolerant:
            evidence, place = task_evidence.find(argv, done.code, command.directory)
            error = verdict.failure(
                self.run.label,
                done,
                left.texts,
                self.machine.secrets.redact,
                oom_killed=oom_killed,
                evidence=evidence,
                lacking=self._lacking(command),
            )
            error.place = place
            found = self._read(strict=False)
            reason = STEP_OOM if error.reason is Reason.OUT_OF_MEMORY else STEP_FAILED
            return Outcome(status="Failed", reason=reason, results=found, error=error)
        if code:
            logger.warning("%s: step %s failed with exit code %d: the Task goes on (onError)",
                           self.run.label, command.step.name, code)  # fmt: skip
        path = self.directory / "steps" / command.step.name / "exitCode"
        with suppress(OSError):
            path.unlink()  # the step may have put a pipe there, or removed the directory
        atomic_files.write_atomically(path, str(code), durable=False)
        asked = self.machine.resume is not None
        self.reused.append(resume.reused_from(argv, command.directory) if asked else "")
        return None

    def _lacking(self, command: Command) -> dict[str, SecretUse]:
        """Return the secrets that the step had to do without, by their variables."""
        uses = {name: value for name, value in command.env if isinstance(value, SecretUse)}
        return {name: use for name, use in uses.items() if self.machine.secrets.lacks(use)}

    def _timed_out(self, command: Command, *, own: bool) -> Outcome:
        limit = command.step.timeout if own else self.run.task.timeout
        what = f"step {command.step.name}" if own else "the task"
        error = verdict.timed_out(self.run.label, what, limit or 0)
        if own:  # the container ends, the pod reports what it has
            found = self._read(strict=False)
            return Outcome(status="Failed", reason=STEP_FAILED, results=found, error=error)
        return Outcome(status="Failed", reason="TaskRunTimeout", error=error)

    def _cancelled(self) -> Outcome:
        error = verdict.cancelled(self.run.label)
        return Outcome(status="Failed", reason="TaskRunCancelled", error=error)

    def _written(self) -> task_results.Written:
        limit = verdict.room_for_results(len(self.commands))
        return task_results.read(self.directory / "results", self.run.task.task.results, limit)

    def _read(self, *, strict: bool = True) -> dict[str, Value]:
        """Return the results; with ``strict``, one that does not fit its type raises an error."""
        declared, left = self.run.task.task.results, self._written()
        texts = left.texts
        if not strict:
            return {
                n: task_results.value(declared[n], t)
                for n, t in texts.items()
                if task_results.fits(declared[n], t)
            }
        for name, problem in left.problems.items():
            raise task_results.InvalidResult(f"cannot read the result {name}: {problem}")
        for name, result in declared.items():
            if result.type == "object" and name not in texts:
                raise task_results.InvalidResult(f"the result {name} of type object is missing")
        return {name: task_results.value(declared[name], text) for name, text in texts.items()}
