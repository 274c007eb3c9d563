"""Which task waits for which, and everything that can be wrong with a Pipeline before it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepkit.formats.did_you_mean import did_you_mean
from stepkit.run_local import plan as planning
from stepkit.run_local.arguments import SecretUse
from stepkit.run_local.plan import Unit
from stepkit.run_local.step_command import Command, commands
from stepkit.tekton import variables
from stepkit.tekton.objects import PipelineTask
from stepkit.tekton.variables import Names, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stepkit.run_local.plan import Plan
    from stepkit.tekton.objects import Pipeline
    from stepkit.tekton.yaml_documents import Node


@dataclass(frozen=True, kw_only=True)
class Rehearsed:
    """A task as it will run, as far as that can be told before the run."""

    task: PipelineTask
    after: tuple[str, ...]
    units: tuple[tuple[Unit, tuple[Command, ...]], ...]

    def secrets(self) -> Iterator[SecretUse]:
        """Yield the secrets that its steps read."""
        for _, steps in self.units:
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
            if node.text() not in names:
                raise node.error(
                    f"there is no task {node.value!r}{did_you_mean(node.value, names)}"
                )
        results = {
            parts[1]
            for node in task.templates()
            for parts in variables.references(node)
            if parts[0] == "tasks" and parts[1] in names
        }
        found[task.name] = {node.text() for node in task.run_after} | results
    return found


def waves(pipeline: Pipeline) -> list[list[PipelineTask]]:
    """Return the tasks in the order in which they can run, side by side within a wave.

    Raises :class:`~stepkit.errors.ConfigurationError` for tasks that wait for each other.
    """
    waiting = dependencies(pipeline)
    left = list(pipeline.tasks)
    found: list[list[PipelineTask]] = []
    while left:
        done = {task.name for wave in found for task in wave}
        wave = [task for task in left if waiting[task.name] <= done]
        if not wave:
            circle = _circle({task.name: waiting[task.name] - done for task in left})
            raise (
                left[0]
                .node.named(left[0].node.source)
                .error(f"these tasks wait for each other: {' -> '.join(circle)}")
            )
        found.append(wave)
        left = [task for task in left if task not in wave]
    return found


def rehearse(plan: Plan) -> tuple[list[list[Rehearsed]], list[Rehearsed]]:
    """Replace every variable once with nothing known of the results: waves, and ``finally``.

    Raises :class:`~stepkit.errors.ConfigurationError` for whatever would fail for certain.
    """
    pipeline = plan.pipeline
    waiting = dependencies(pipeline)
    results = expected_results(pipeline.tasks)
    ordered = [
        [_rehearsed(plan, task, plan.scope(tasks=results), waiting[task.name]) for task in wave]
        for wave in waves(pipeline)
    ]
    last_scope = plan.scope(tasks=with_statuses(results))
    last = [_rehearsed(plan, task, last_scope, ()) for task in pipeline.final]
    _check_results(plan, results)
    _check_secrets(plan, [*(task for wave in ordered for task in wave), *last])
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


def with_statuses(results: Names) -> Names:
    """Add what only tasks in ``finally`` may ask for."""
    known = Names(status=Unknown("tasks.status"))
    for name, task in results.items():
        ends = {part: Unknown(f"tasks.{name}.{part}") for part in ("status", "reason")}
        known[name] = Names({**task, **ends})
    return known


def _rehearsed(
    plan: Plan, task: PipelineTask, scope: Names, after: set[str] | tuple[str, ...]
) -> Rehearsed:
    planning.allowed(task, scope)
    units = planning.units(plan, task, scope)
    return Rehearsed(
        task=task,
        after=tuple(sorted(after)),
        units=tuple((unit, tuple(commands(unit, None))) for unit in units),
    )


def _check_results(plan: Plan, results: Names) -> None:
    pipeline = plan.pipeline
    scope = Names(tasks=results, **{"finally": expected_results(pipeline.final, "finally")})
    for node in pipeline.results.values():
        variables.value(node, scope)
        for parts in variables.references(node):
            _check_consumed(pipeline, parts, node)


def _check_consumed(pipeline: Pipeline, parts: list[str], node: Node) -> None:
    """Refuse what makes Tekton 1.15 fail a good run: CouldntGetPipelineResult."""
    if parts[0] != "tasks" or not pipeline.task(parts[1]).matrix:
        return
    others = (used for task in (*pipeline.tasks, *pipeline.final) for used in task.templates())
    if not any(parts[:4] == used[:4] for other in others for used in variables.references(other)):
        raise node.error(
            f"Tekton finds the results of the matrix {parts[1]} only if another task uses "
            f"$({'.'.join(parts[:4])}[*]) too"
        )


def _check_secrets(plan: Plan, tasks: list[Rehearsed]) -> None:
    uses = {use for task in tasks for use in task.secrets()}
    open_ended = [use for use in uses if "$(" in use.name + use.key]
    for use in sorted(uses - set(open_ended), key=str):
        plan.secrets.check(use)
    if not open_ended:
        plan.secrets.check_names(use.name for use in uses)


def _circle(waiting: Mapping[str, set[str]]) -> list[str]:
    path = [next(iter(waiting))]
    while True:
        following = min(waiting[path[-1]])
        if following in path:
            return [*path[path.index(following) :], following]
        path.append(following)
