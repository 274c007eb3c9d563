"""Order the tasks of a Pipeline, and find what is wrong with it before it runs."""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from stepkit.formats.did_you_mean import did_you_mean
from stepkit.run_local.plan import TaskRun, task_runs, when_holds
from stepkit.run_local.secret_files import SecretUse
from stepkit.run_local.step_command import Command, commands
from stepkit.tekton import substitute_variables
from stepkit.tekton.objects import PipelineTask
from stepkit.tekton.substitute_variables import Names, Unknown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from stepkit.run_local.plan import Plan
    from stepkit.tekton.objects import Pipeline


@dataclass(frozen=True, kw_only=True)
class PlannedTask:
    """A task as it will run, with the results of other tasks still unknown."""

    task: PipelineTask
    after: tuple[str, ...]
    runs: tuple[tuple[TaskRun, tuple[Command, ...]], ...]

    def secrets(self) -> Iterator[SecretUse]:
        """Yield the secrets that its steps read."""
        for _, steps in self.runs:
            for command in steps:
                yield from (value for _, value in command.env if isinstance(value, SecretUse))


def dependencies(pipeline: Pipeline) -> dict[str, set[str]]:
    """Return the tasks that each task waits for: by ``runAfter``, and for their results.

    Raises :class:`~stepkit.errors.ConfigurationError` for a task that does not exist.
    """
    names = {task.name for task in pipeline.tasks}
    found: dict[str, set[str]] = {}
    for task in pipeline.tasks:
        for node in task.run_after:
            if node.value not in names:
                raise node.error(
                    f"there is no task {node.value!r}{did_you_mean(node.value, names)}"
                )
        results = {
            parts[1]
            for node in task.templates()
            for parts in substitute_variables.references(node)
            if parts[0] == "tasks" and parts[1] in names
        }
        found[task.name] = {node.value for node in task.run_after} | results
    return found


def waves(pipeline: Pipeline) -> list[list[PipelineTask]]:
    """Return the tasks in the order in which they can run, side by side within a wave.

    Raises :class:`~stepkit.errors.ConfigurationError` for tasks that wait for each other.
    """
    sorter = TopologicalSorter(dependencies(pipeline))
    names = [task.name for task in pipeline.tasks]
    try:
        sorter.prepare()
    except CycleError as error:
        circle = error.args[1][:0:-1]  # each waits for the next; the last is the first again
        start = circle.index(min(circle, key=names.index))
        circle = [*circle[start:], *circle[:start], circle[start]]
        first = pipeline.task(circle[0]).node
        problem = f"these tasks wait for each other: {' -> '.join(circle)}"
        raise first.at("").error(problem) from error
    found: list[list[PipelineTask]] = []
    while sorter.is_active():
        ready = sorter.get_ready()
        found.append([task for task in pipeline.tasks if task.name in ready])
        sorter.done(*ready)
    return found


def plan_tasks(plan: Plan) -> tuple[list[list[PlannedTask]], list[PlannedTask]]:
    """Replace every variable, with the results of tasks unknown: return waves, and ``finally``.

    Raises :class:`~stepkit.errors.ConfigurationError` for whatever would fail for certain.
    """
    pipeline = plan.pipeline
    waiting = dependencies(pipeline)
    results = expected_results(pipeline.tasks)

    def planned(task: PipelineTask, scope: Names, after: Collection[str]) -> PlannedTask:
        when_holds(task, scope)
        runs = tuple((run, tuple(commands(run, None))) for run in task_runs(plan, task, scope))
        return PlannedTask(task=task, after=tuple(sorted(after)), runs=runs)

    scope = plan.scope(results)
    ordered = [
        [planned(task, scope, waiting[task.name]) for task in wave] for wave in waves(pipeline)
    ]
    with_statuses = Names(status=Unknown("tasks.status"))  # only finally has these variables
    for name, task in results.items():
        ends = {part: Unknown(f"tasks.{name}.{part}") for part in ("status", "reason")}
        with_statuses[name] = Names({**task, **ends})
    last_scope = plan.scope(with_statuses)
    last = [planned(task, last_scope, ()) for task in pipeline.final]
    groups = {"tasks": results, "finally": expected_results(pipeline.final, "finally")}
    used = [node for task in (*pipeline.tasks, *pipeline.final) for node in task.templates()]
    consumed = {
        tuple(parts[:4]) for node in used for parts in substitute_variables.references(node)
    }
    for node in pipeline.results.values():
        substitute_variables.value(node, Names(groups))
        for parts in substitute_variables.references(node):
            matrix = pipeline.task(parts[1]).matrix if parts[0] == "tasks" else None
            if matrix and tuple(parts[:4]) not in consumed:  # CouldntGetPipelineResult in 1.15
                raise node.error(
                    f"Tekton finds the results of the matrix {parts[1]} only if another task "
                    f"uses $({'.'.join(parts[:4])}[*]) too"
                )
    plan.secrets.check(
        {use for wave in (*ordered, last) for task in wave for use in task.secrets()}
    )
    return ordered, last


def expected_results(tasks: tuple[PipelineTask, ...], group: str = "tasks") -> Names:
    """Return the results that ``tasks`` may write, all of them still unknown."""
    found = Names()
    for task in tasks:
        declared = Names()
        for name, result in task.task.results.items():
            reference = f"{group}.{task.name}.results.{name}"
            if not task.matrix:
                declared[name] = Unknown(reference, result.type)
            elif result.type == "string":  # Tekton collects no others from a matrix
                declared[name] = Unknown(reference, "array")
        found[task.name] = Names(results=declared)
    return found
