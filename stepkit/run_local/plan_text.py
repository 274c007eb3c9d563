"""The text of ``--dry-run``: what would run, in which order, with which values."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any, Final

from stepkit.run_local.secret_files import SecretUse
from stepkit.run_local.step_command import TEKTON_HOME
from stepkit.tekton import variables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepkit.run_local.dag import PlannedTask
    from stepkit.run_local.plan import Plan
    from stepkit.run_local.step_command import Command
    from stepkit.tekton.objects import PipelineTask, Task

_NOT_APPLIED: Final = ("image", "imagePullPolicy", "securityContext", "computeResources")


def plan_text(
    plan: Plan, waves: Sequence[Sequence[PlannedTask]], last: Sequence[PlannedTask]
) -> str:
    """Return the plan: every task in its order, with its commands, needs and results."""
    lines = [f"Pipeline {plan.pipeline.name}, run {plan.run}"]
    for name, value in plan.params.items():
        lines.append(
            f"  param {name} = {shlex.quote(value) if isinstance(value, str) else _shown(value)}"
        )
    lines += [
        f"  workspace {name} = {plan.workspaces.get(name, 'not bound (optional)')}"
        for name in plan.pipeline.workspaces
    ]
    lines += [f"  secret {name} = {path}" for name, path in plan.secrets.directories.items()]
    for number, wave in enumerate(waves, 1):
        lines += ["", f"wave {number}"]
        lines += [line for task in wave for line in _task_lines(task)]
    if last:
        lines += ["", "finally, whatever happened before"]
        lines += [line for task in last for line in _task_lines(task)]
    lines += ["", *(f"result {n} = {_shown(v.value)}" for n, v in plan.pipeline.results.items())]
    return "\n".join(lines).rstrip() + "\n"


def _task_lines(planned: PlannedTask) -> Iterator[str]:
    task = planned.task
    kind = "taskSpec" if task.task.inline else f"Task {task.task.name}"
    yield f"  {task.name} ({kind}, {task.task.source.partition(':')[0]})"
    if planned.after:
        yield f"    after: {', '.join(planned.after)}"
    yield from _condition_lines(task)
    if needs := _needs(planned):
        yield f"    needs: {'; '.join(needs)}"
    for run, commands in planned.runs:
        if run.combination:
            values = ", ".join(f"{name}={value}" for name, value in run.combination.items())
            yield f"    {run.label}: {values}"
        for command in commands:
            yield from _command_lines(command)
    if not planned.runs:
        yield "    runs: none, its matrix is empty"
    if task.task.results:
        yield f"    leaves: results {', '.join(task.task.results)}"
    if ignored := _not_applied(task.task):
        yield f"    not applied here: {', '.join(ignored)}"


def _condition_lines(task: PipelineTask) -> Iterator[str]:
    """Yield when a task runs, how often and how long."""
    for when in task.when:
        operator = "notin" if when.negated else "in"
        yield f"    when: {_shown(when.input.value)} {operator} {_shown(when.values.value)}"
    if task.retries:
        yield f"    retries: {task.retries}"
    if task.timeout:
        yield f"    timeout: {task.timeout:g} s"
    if task.on_error:
        yield f"    onError: {task.on_error.value}"


def _needs(planned: PlannedTask) -> list[str]:
    """Return the params, workspaces, results and secrets that a task reads."""
    task = planned.task
    needs = []
    if names := [*task.params, *(task.matrix.names() if task.matrix else ())]:
        needs.append(f"params {', '.join(sorted(names))}")
    for run, _ in planned.runs[:1]:  # a matrix does not change workspaces
        for name, path in run.workspaces.items():
            if name in task.task.workspaces or name in task.workspaces:
                needs.append(f"workspace {name} ({path or 'not bound'})")
    results = {
        f"{parts[1]}.{parts[3]}"
        for node in task.templates()
        for parts in variables.references(node)
        if parts[0] == "tasks" and parts[2:3] == ["results"] and parts[3:]
    }
    if results:
        needs.append(f"results {', '.join(sorted(results))}")
    secrets = {f"{use}{' (optional)' if use.optional else ''}" for use in planned.secrets()}
    return [*needs, *sorted(secrets)]


def _command_lines(command: Command) -> Iterator[str]:
    argv, env = command.process()
    yield f"    step {command.step.name}: {shlex.join(argv)}"
    texts = {v.name: v.value.value for v in command.step.variables if v.value}
    for name, value in command.env:
        if isinstance(value, SecretUse):
            optional = " (optional)" if value.optional else ""
            yield f"      {name} from {value}{optional}"
        else:
            replaced = name == "HOME" and texts.get(name) == TEKTON_HOME
            note = f" (yours, instead of {TEKTON_HOME})" if replaced else ""
            yield f"      {name}={shlex.quote(env[name])}{note}"
    if command.directory:
        yield f"      in {command.directory}"
    if command.tolerant:
        yield "      onError: continue"
    if command.step.timeout:
        yield f"      timeout: {command.step.timeout:g} s"


def _not_applied(task: Task) -> list[str]:
    """Return the fields of a Task that have no effect on one machine."""
    found = [name for name in _NOT_APPLIED if any(name in step.fields for step in task.steps)]
    if paths := {mount.value["mountPath"]: "" for step in task.steps for mount in step.mounts}:
        found.append(f"volumes ({', '.join(paths)})")
    if any("workspaces" in step.fields for step in task.steps):
        found.append("workspaces isolated to a step")
    if any(workspace.read_only for workspace in task.workspaces.values()):
        found.append("readOnly workspaces")
    return found


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
