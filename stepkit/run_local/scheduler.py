"""Run the tasks of a Pipeline in their order, side by side where they can, and ``finally``."""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from stepkit.errors import ConfigurationError, StepError
from stepkit.run_local import plan as planning
from stepkit.run_local import progress
from stepkit.run_local.dag import dependencies, waves
from stepkit.run_local.task_run import Outcome, Status, run_unit
from stepkit.tekton import variables
from stepkit.tekton.objects import PipelineTask
from stepkit.tekton.variables import Missing, MissingResult, Names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.run_local.plan import Plan, Unit
    from stepkit.run_local.task_run import Machine

logger = logging.getLogger(__name__)

_NO_TASK_RUN: Final = "PipelineValidationFailed"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How one task of the Pipeline ended; ``reason`` is Tekton's, ``why`` is for people."""

    task: PipelineTask
    status: Status
    reason: str = ""
    why: str = ""
    seconds: float = 0.0
    results: Names = field(default_factory=Names)
    error: StepError | None = None
    ignored: bool = False
    skipped: Literal["", "when", "other"] = ""

    @property
    def failed(self) -> bool:
        """Whether it fails the run."""
        return self.error is not None and not self.ignored

    @property
    def told(self) -> dict[str, str]:
        """What ``finally`` knows of it; of a task that never became a TaskRun, nothing."""
        if self.reason == _NO_TASK_RUN:
            return {"status": "None", "reason": ""}
        return {"status": self.status, "reason": self.reason}


class Scheduler:
    """One run of a Pipeline. ``ended`` fills up, task by task."""

    def __init__(self, plan: Plan, jobs: int, tasks: Machine, final: Machine) -> None:
        """Take what to run, how much at once, and where: tasks and ``finally`` stop apart."""
        self.plan = plan
        self.jobs = jobs
        self.machines = {False: tasks, True: final}
        self.parents = dependencies(plan.pipeline)
        self.ended: dict[str, Ended] = {}
        self.units: dict[str, list[tuple[Unit, Outcome | None]]] = {}

    def run(self) -> None:
        """Run all tasks, and then, whatever became of them, those in ``finally``."""
        self._phase([task for wave in waves(self.plan.pipeline) for task in wave])
        self._phase(list(self.plan.pipeline.final))

    def in_order(self) -> list[Ended]:
        """Return how the tasks ended, in the order of the graph, then ``finally``."""
        ordered = [task for wave in waves(self.plan.pipeline) for task in wave]
        names = [task.name for task in (*ordered, *self.plan.pipeline.final)]
        return [self.ended[name] for name in names if name in self.ended]

    def scope(self, *, final: bool) -> Names:
        """Return what a task may refer to, from what has ended so far."""
        known = Names()
        for name, ended in self.ended.items():
            if ended.task.final:
                continue
            known[name] = Names(results=ended.results)
            if final:
                known[name] |= ended.told
        if final and "status" not in known:
            known["status"] = self._aggregate()
        return self.plan.scope(tasks=known)

    def _phase(self, waiting: list[PipelineTask]) -> None:
        queue: deque[Unit] = deque()
        running: dict[Future[Outcome], Unit] = {}
        with ThreadPoolExecutor(self.jobs) as pool, self._killing_on_error():
            while True:
                self._settle(waiting, queue)
                while queue and len(running) < self.jobs:
                    unit = queue.popleft()
                    machine = self.machines[unit.task.final]
                    running[pool.submit(run_unit, unit, machine)] = unit
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    self._record(running.pop(future), future.result())

    @contextmanager
    def _killing_on_error(self) -> Iterator[None]:
        """Leave no process behind when the scheduler itself breaks."""
        whole = False
        try:
            yield
            whole = True
        finally:
            if not whole:
                self.machines[False].stop.set()
                self.machines[False].kill.set()

    def _settle(self, waiting: list[PipelineTask], queue: deque[Unit]) -> None:
        """Move what can start from ``waiting`` to ``queue``; skip what never can."""
        settled = True
        while settled:
            settled = False
            for task in list(waiting):
                if self.parents.get(task.name, set()) <= set(self.ended):
                    waiting.remove(task)
                    self._start(task, queue)
                    settled = True
        self._drop(queue)

    def _drop(self, queue: deque[Unit]) -> None:
        """Forget tasks that wait for a free place once nothing more may start."""
        for unit in list(queue):
            task, why = unit.task, self._stopping()
            outcomes = self.units[task.name]
            unstarted = sum(1 for other in queue if other.task is task) == len(outcomes)
            if not task.final and why and unstarted:
                for other in [other for other in queue if other.task is task]:
                    queue.remove(other)
                self._skip(task, why)

    def _start(self, task: PipelineTask, queue: deque[Unit]) -> None:
        why = "" if task.final else self._stopping() or self._skipped_parent(task)
        if why:
            return self._skip(task, why)
        scope = self.scope(final=task.final)
        try:
            for node in task.templates():
                variables.value(node, scope)
            if not planning.allowed(task, scope):
                return self._skip(task, "its when conditions do not hold", "when")
            units = planning.units(self.plan, task, scope)
        except MissingResult as missing:
            return self._without_result(task, missing)
        except StepError as error:
            hidden = self.plan.secrets.redacted(error)  # it may show a result
            return self._end(_failed(task, _NO_TASK_RUN, hidden))
        if not units:
            return self._skip(task, "its matrix is empty")
        self.units[task.name] = [(unit, None) for unit in units]
        queue.extend(units)
        return None

    def _without_result(self, task: PipelineTask, missing: MissingResult) -> None:
        source = self.ended[missing.task]
        on_error = task.on_error is not None and task.on_error.value == "continue"
        if task.final or source.skipped == "when" or on_error:
            return self._skip(task, f"{missing}")
        error = ConfigurationError(f"task {task.name} cannot start: {missing}")
        return self._end(_failed(task, _NO_TASK_RUN, error))

    def _record(self, unit: Unit, outcome: Outcome) -> None:
        progress.log_end(unit, outcome, self.plan)
        outcomes = self.units[unit.task.name]
        number = next(n for n, (other, _) in enumerate(outcomes) if other is unit)
        outcomes[number] = (unit, outcome)
        done = [ended for _, ended in outcomes if ended]
        if len(done) == len(outcomes):
            self._end(_together(unit, done))

    def _end(self, ended: Ended) -> None:
        self.ended[ended.task.name] = ended

    def _skip(self, task: PipelineTask, why: str, how: Literal["when", "other"] = "other") -> None:
        logger.info("%s: skipped: %s", task.name, why)
        results = Names({name: Missing(task.name, name) for name in task.task.results})
        self._end(Ended(task=task, status="None", why=why, results=results, skipped=how))

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
        if any(e.told["status"] == "Failed" for e in ended):
            return "Failed"
        return "Completed" if any(e.skipped for e in ended) else "Succeeded"


def _together(unit: Unit, outcomes: list[Outcome]) -> Ended:
    """Make one ending of those of a matrix, or of the only one."""
    task = unit.task
    failed = [outcome for outcome in outcomes if outcome.status == "Failed"]
    worst = failed[0] if failed else outcomes[0]
    results = Names()
    for name in task.task.results:
        values: list[Any] = [o.results[name] for o in outcomes if name in o.results]
        complete = len(values) == len(outcomes)
        whole = values if task.matrix else next(iter(values), None)
        results[name] = whole if complete else Missing(task.name, name)
    return Ended(
        task=task,
        status=worst.status,
        reason="FailureIgnored" if unit.ignored and worst.reason == "Failed" else worst.reason,
        why=str(worst.error or ""),
        seconds=max(outcome.seconds for outcome in outcomes),
        results=results,
        error=worst.error,
        ignored=unit.ignored,
    )


def _failed(task: PipelineTask, reason: str, error: StepError) -> Ended:
    logger.error("%s: failed: %s", task.name, error)
    results = Names({name: Missing(task.name, name) for name in task.task.results})
    return Ended(
        task=task, status="Failed", reason=reason, why=str(error), results=results, error=error
    )
