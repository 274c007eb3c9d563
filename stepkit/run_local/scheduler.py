"""Run the tasks of a Pipeline in their order, side by side where they can, and ``finally``."""

from __future__ import annotations

import logging
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from stepkit.errors import ConfigurationError, StepError
from stepkit.formats import durations
from stepkit.run_local import progress
from stepkit.run_local.plan import task_runs, when_holds
from stepkit.run_local.task_dependencies import dependencies, waves
from stepkit.run_local.task_run import STEP_FAILED, STEP_OOM, Outcome, Status, run_steps
from stepkit.system import status_line
from stepkit.tekton import substitute_variables
from stepkit.tekton.objects import PipelineTask
from stepkit.tekton.substitute_variables import Missing, MissingResult, Names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.run_local.plan import Plan, TaskRun
    from stepkit.run_local.task_run import Machine

logger = logging.getLogger(__name__)

_NO_TASK_RUN: Final = "PipelineValidationFailed"


@dataclass(frozen=True, kw_only=True)
class EndedTask:
    """How a task of the Pipeline ended; ``reason`` is Tekton's, ``why`` is for people."""

    task: PipelineTask
    status: Status
    reason: str = ""
    why: str = ""
    seconds: float = 0.0
    results: Names = field(default_factory=Names)
    error: StepError | None = None
    ignored: bool = False
    skipped: Literal["", "when", "other"] = ""
    reused_from: tuple[str, ...] = ()  # a run for each TaskRun whose files are reused

    @property
    def failed(self) -> bool:
        """Whether it fails the run."""
        return self.error is not None and not self.ignored

    @property
    def status_variables(self) -> dict[str, str]:
        """Its variables in ``finally``; a task that never became a TaskRun has no status."""
        if self.reason == _NO_TASK_RUN:
            return {"status": "None", "reason": ""}
        return {"status": self.status, "reason": self.reason}


class Scheduler:
    """One run of a Pipeline; ``ended`` holds the tasks that have ended."""

    def __init__(self, plan: Plan, jobs: int, tasks: Machine, final: Machine) -> None:
        """Run at most ``jobs`` TaskRuns at once; tasks and ``final`` tasks can be stopped apart."""
        self.plan = plan
        self.jobs = jobs
        self.machines = {False: tasks, True: final}
        self.parents = dependencies(plan.pipeline)
        self.ended: dict[str, EndedTask] = {}
        self.began: dict[str, float] = {}  # when each TaskRun began that runs now
        self.runs: dict[str, list[tuple[TaskRun, Outcome | None]]] = {}

    def run(self) -> None:
        """Run all tasks, and then, even after a failure, those in ``finally``."""
        self._phase([task for wave in waves(self.plan.pipeline) for task in wave])
        self._phase(list(self.plan.pipeline.final))

    def in_order(self) -> list[EndedTask]:
        """Return how the tasks ended, in the order of the graph, then ``finally``."""
        ordered = [task for wave in waves(self.plan.pipeline) for task in wave]
        names = [task.name for task in (*ordered, *self.plan.pipeline.final)]
        return [self.ended[name] for name in names if name in self.ended]

    def scope(self, *, final: bool) -> Names:
        """Return what a task may refer to, from the tasks that have ended so far."""
        known = Names()
        for name, ended in self.ended.items():
            if ended.task.final:
                continue
            known[name] = Names(results=ended.results)
            if final:
                known[name] |= ended.status_variables
        if final and "status" not in known:
            known["status"] = self._aggregate()
        return self.plan.scope(known)

    def _phase(self, waiting: list[PipelineTask]) -> None:
        queue: deque[TaskRun] = deque()
        running: dict[Future[Outcome], TaskRun] = {}
        with (
            status_line.showing(self._status),
            ThreadPoolExecutor(self.jobs) as pool,
            self._killing_on_error(),
        ):
            while True:
                self._start_ready(waiting, queue)
                while queue and len(running) < self.jobs:
                    run = queue.popleft()
                    machine = self.machines[run.task.final]
                    running[pool.submit(run_steps, run, machine)] = run
                    self.began[run.label] = time.monotonic()
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    run = running.pop(future)
                    del self.began[run.label]
                    self._record(run, future.result())

    def _status(self) -> str:
        now, total = time.monotonic(), len(self.plan.pipeline.tasks) + len(self.plan.pipeline.final)
        running = [
            f"{name} {durations.elapsed(now - began, tenths=False)}"
            for name, began in self.began.copy().items()
        ]
        ended = f"{len(self.ended)} of {total} tasks ended"
        return f"{ended}; running: {', '.join(running)}" if running else ended

    @contextmanager
    def _killing_on_error(self) -> Iterator[None]:
        """End all processes when the scheduler itself raises an error."""
        whole = False
        try:
            yield
            whole = True
        finally:
            if not whole:
                self.machines[False].stop.set()
                self.machines[False].kill.set()

    def _start_ready(self, waiting: list[PipelineTask], queue: deque[TaskRun]) -> None:
        """Move what can start from ``waiting`` to ``queue``; skip what never can."""
        progressed = True
        while progressed:
            progressed = False
            for task in list(waiting):
                if self.parents.get(task.name, set()) <= set(self.ended):
                    waiting.remove(task)
                    self._start(task, queue)
                    progressed = True
        self._skip_queued(queue)

    def _skip_queued(self, queue: deque[TaskRun]) -> None:
        """Skip the queued tasks of which nothing runs yet, once nothing more may start."""
        for run in list(queue):
            task, why = run.task, self._stopping()
            outcomes = self.runs[task.name]
            unstarted = sum(1 for other in queue if other.task is task) == len(outcomes)
            if not task.final and why and unstarted:
                for other in [other for other in queue if other.task is task]:
                    queue.remove(other)
                self._skip(task, why)

    def _start(self, task: PipelineTask, queue: deque[TaskRun]) -> None:
        why = "" if task.final else self._stopping() or self._skipped_parent(task)
        if why:
            return self._skip(task, why)
        scope = self.scope(final=task.final)
        try:
            for node in task.templates():
                substitute_variables.value(node, scope)
            if not when_holds(task, scope):
                return self._skip(task, "its when conditions do not hold", "when")
            runs = task_runs(self.plan, task, scope)
        except MissingResult as missing:
            return self._without_result(task, missing)
        except StepError as error:
            hidden = self.plan.secrets.redacted(error)  # it may show a result
            return self._end(_failed(task, _NO_TASK_RUN, hidden))
        if not runs:
            return self._skip(task, "its matrix is empty")
        self.runs[task.name] = [(run, None) for run in runs]
        queue.extend(runs)
        return None

    def _without_result(self, task: PipelineTask, missing: MissingResult) -> None:
        source = self.ended[missing.task]
        on_error = task.on_error is not None and task.on_error.value == "continue"
        if task.final or source.skipped == "when" or on_error:
            return self._skip(task, f"{missing}")
        error = ConfigurationError(f"task {task.name} cannot start: {missing}")
        return self._end(_failed(task, _NO_TASK_RUN, error))

    def _record(self, run: TaskRun, outcome: Outcome) -> None:
        """Record an outcome; that of a task's last TaskRun ends the task."""
        progress.log_end(run, outcome, self.plan)
        task, runs = run.task, self.runs[run.task.name]
        number = next(n for n, (other, _) in enumerate(runs) if other is run)
        runs[number] = (run, outcome)
        outcomes = [ended for _, ended in runs if ended]
        if len(outcomes) < len(runs):
            return
        failed = [ended for ended in outcomes if ended.status == "Failed"]
        worst = failed[0] if failed else outcomes[0]
        tolerated = run.ignored and worst.reason in {STEP_FAILED, STEP_OOM}
        results = Names()
        for name in task.task.results:
            values: list[Any] = [o.results[name] for o in outcomes if name in o.results]
            whole = values if task.matrix else next(iter(values), None)
            results[name] = whole if len(values) == len(runs) else Missing(task.name, name)
        self._end(
            EndedTask(
                task=task,
                status=worst.status,
                reason="FailureIgnored" if tolerated else worst.reason,
                why=str(worst.error or ""),
                seconds=max(ended.seconds for ended in outcomes),
                results=results,
                error=worst.error,
                ignored=run.ignored,
                reused_from=tuple(o.reused_from for o in outcomes if o.reused_from),
            )
        )

    def _end(self, ended: EndedTask) -> None:
        self.ended[ended.task.name] = ended

    def _skip(self, task: PipelineTask, why: str, how: Literal["when", "other"] = "other") -> None:
        logger.info("%s: skipped: %s", task.name, why)
        results = Names({name: Missing(task.name, name) for name in task.task.results})
        self._end(EndedTask(task=task, status="None", why=why, results=results, skipped=how))

    def _skipped_parent(self, task: PipelineTask) -> str:
        skipped = [n for n in sorted(self.parents[task.name]) if self.ended[n].skipped == "other"]
        return f"{skipped[0]} was skipped" if skipped else ""

    def _stopping(self) -> str:
        if self.machines[False].stop.is_set():
            return "the run was cancelled"
        failed = [e.task.name for e in self.ended.values() if e.failed and not e.task.final]
        return f"{failed[0]} failed" if failed else ""

    def _aggregate(self) -> str:
        ended = [e for e in self.ended.values() if not e.task.final]
        if any(e.status_variables["status"] == "Failed" for e in ended):
            return "Failed"
        return "Completed" if any(e.skipped for e in ended) else "Succeeded"


def _failed(task: PipelineTask, reason: str, error: StepError) -> EndedTask:
    logger.error("%s: failed: %s", task.name, error)
    results = Names({name: Missing(task.name, name) for name in task.task.results})
    return EndedTask(
        task=task, status="Failed", reason=reason, why=str(error), results=results, error=error
    )
