"""The text of ``--dry-run``: what would run, in which order, with which values."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any, Final

from stepkit.run_local import resume
from stepkit.run_local.secret_files import SecretUse
from stepkit.run_local.step_command import TEKTON_HOME
from stepkit.system.logfile import one_line
from stepkit.tekton import substitute_variables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from stepkit.run_local.plan import Plan
    from stepkit.run_local.step_command import Command
    from stepkit.run_local.task_dependencies import PlannedTask
    from stepkit.tekton.objects import Task

_NOT_APPLIED: Final = ("image", "imagePullPolicy", "securityContext", "computeResources")


def plan_text(
    plan: Plan, waves: Sequence[Sequence[PlannedTask]], last: Sequence[PlannedTask]
) -> str:
    """Return the plan: every task in its order, with its commands, needs and results."""
    lines = [f"Pipeline {plan.pipeline.name}, run {plan.run}"]
    lines += [f"  resumes {plan.resume}"] if plan.resume else []
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
        lines += [line for task in wave for line in _task_lines(task, plan.resume)]
    if last:
        lines += ["", "finally, whatever happened before"]
        lines += [line for task in last for line in _task_lines(task, plan.resume)]
    lines += ["", *(f"result {n} = {_shown(v.value)}" for n, v in plan.pipeline.results.items())]
    return "\n".join(map(one_line, lines)).rstrip() + "\n"


def _task_lines(planned: PlannedTask, earlier: Path | None) -> Iterator[str]:
    task = planned.task
    kind = "taskSpec" if task.task.inline else f"Task {task.task.name}"
    yield f"  {task.name} ({kind}, {task.task.source.partition(':')[0]})"
    facts: list[tuple[str, object]] = [("after", ", ".join(planned.after))]
    for when in task.when:
        operator = "notin" if when.negated else "in"
        shown = f"{_shown(when.input.value)} {operator} {_shown(when.values.value)}"
        facts.append(("when", shown))
    facts += [
        ("retries", task.retries),
        ("timeout", f"{task.timeout:g} s" if task.timeout else ""),
        ("onError", task.on_error.value if task.on_error else ""),
        ("needs", "; ".join(_needs(planned))),
    ]
    yield from (f"    {label}: {value}" for label, value in facts if value)
    for run, commands in planned.runs:
        if run.combination:
            values = ", ".join(f"{name}={value}" for name, value in run.combination.items())
            yield f"    {run.label}: {values}"
        for command in commands:
            yield from _command_lines(command, earlier)
    facts = [
        ("runs", "" if planned.runs else "none, its matrix is empty"),
        ("leaves", f"results {', '.join(task.task.results)}" if task.task.results else ""),
        ("not applied here", ", ".join(_not_applied(task.task))),
    ]
    yield from (f"    {label}: {value}" for label, value in facts if value)


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
        for parts in substitute_variables.references(node)
        if parts[0] == "tasks" and parts[2:3] == ["results"] and parts[3:]
    }
    if results:
        needs.append(f"results {', '.join(sorted(results))}")
    secrets = {f"{use}{' (optional)' if use.optional else ''}" for use in planned.secrets()}
    return [*needs, *sorted(secrets)]


def _command_lines(command: Command, earlier: Path | None) -> Iterator[str]:
    argv, env = command.process()
    argv = resume.ask(argv, earlier)
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
