"""What people read: the plan of a dry run, and the table at the end of a real one."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from stepkit.run_local.arguments import SecretUse
from stepkit.run_local.step_command import TEKTON_HOME
from stepkit.tekton import variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from stepkit.run_local.dag import Rehearsed
    from stepkit.run_local.plan import Plan, Unit
    from stepkit.run_local.scheduler import Ended
    from stepkit.run_local.step_command import Command
    from stepkit.tekton.objects import PipelineTask
    from stepkit.tekton.yaml_documents import Value


def plan_text(plan: Plan, waves: Sequence[Sequence[Rehearsed]], last: Sequence[Rehearsed]) -> str:
    """Return the plan: every task in its order, with its commands, needs and results."""
    lines = [f"Pipeline {plan.pipeline.name}, run {plan.run}"]
    lines += [f"  param {name} = {_value(value)}" for name, value in plan.params.items()]
    for name in plan.pipeline.workspaces:
        lines.append(f"  workspace {name} = {plan.workspaces.get(name, 'not bound (optional)')}")
    lines += [f"  secret {name} = {path}" for name, path in plan.secrets.directories.items()]
    for number, wave in enumerate(waves, 1):
        lines += ["", f"wave {number}"]
        lines += [line for task in wave for line in _task(task)]
    if last:
        lines += ["", "finally, whatever happened before"]
        lines += [line for task in last for line in _task(task)]
    lines += ["", *(f"result {n} = {_shown(v.value)}" for n, v in plan.pipeline.results.items())]
    return "\n".join(lines).rstrip() + "\n"


def table(ended: Iterable[Ended]) -> list[str]:
    """Return the table of how each task ended."""
    rows = [("task", "status", "seconds", "reason")]
    for task in ended:
        status = "Skipped" if task.skipped else task.status
        note = "failed, and the run went on (onError): " if task.error and task.ignored else ""
        seconds = "-" if task.skipped else f"{task.seconds:.1f}"
        rows.append((task.task.name, status, seconds, note + (task.why or task.reason)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows
    ]


def _task(rehearsed: Rehearsed) -> Iterator[str]:
    task = rehearsed.task
    kind = "taskSpec" if task.task.inline else f"Task {task.task.name}"
    yield f"  {task.name} ({kind}, {task.task.source.partition(':')[0]})"
    if rehearsed.after:
        yield f"    after: {', '.join(rehearsed.after)}"
    for when in task.when:
        operator = "notin" if when.negated else "in"
        yield f"    when: {_shown(when.input.value)} {operator} {_shown(when.values.value)}"
    yield from _limits(task)
    yield from _needs(rehearsed)
    for unit, commands in rehearsed.units:
        if unit.combination:
            values = ", ".join(f"{name}={value}" for name, value in unit.combination.items())
            yield f"    {unit.label}: {values}"
        for command in commands:
            yield from _command(command)
    if not rehearsed.units:
        yield "    runs: none, its matrix is empty"
    if task.task.results:
        yield f"    leaves: results {', '.join(task.task.results)}"
    if task.task.unapplied:
        yield f"    not applied here: {', '.join(task.task.unapplied)}"


def _limits(task: PipelineTask) -> Iterator[str]:
    if task.retries:
        yield f"    retries: {task.retries}"
    if task.timeout:
        yield f"    timeout: {task.timeout:g} s"
    if task.on_error:
        yield f"    onError: {task.on_error.value}"


def _needs(rehearsed: Rehearsed) -> Iterator[str]:
    task = rehearsed.task
    needs = []
    if names := [*task.params, *(task.matrix.names() if task.matrix else ())]:
        needs.append(f"params {', '.join(sorted(names))}")
    bound = _bound(rehearsed.units)
    needs += [f"workspace {name} ({path})" for name, path in bound.items()]
    results = {
        f"{parts[1]}.{parts[3]}"
        for node in task.templates()
        for parts in variables.references(node)
        if parts[0] == "tasks" and len(parts) > 3 and parts[2] == "results"  # noqa: PLR2004 - tasks.x.results.y
    }
    if results:
        needs.append(f"results {', '.join(sorted(results))}")
    needs += sorted(
        {f"{use}{' (optional)' if use.optional else ''}" for use in rehearsed.secrets()}
    )
    if needs:
        yield f"    needs: {'; '.join(needs)}"


def _bound(units: Sequence[tuple[Unit, Any]]) -> Mapping[str, Any]:
    if not units:
        return {}
    unit = units[0][0]
    declared = unit.task.task.workspaces
    return {
        name: path or "not bound"
        for name, path in unit.workspaces.items()
        if name in declared or name in unit.task.workspaces
    }


def _command(command: Command) -> Iterator[str]:
    argv, env = command.process()
    yield f"    step {command.step.name}: {shlex.join(argv)}"
    for name, value in command.env:
        if isinstance(value, SecretUse):
            optional = " (optional)" if value.optional else ""
            yield f"      {name} from {value}{optional}"
        else:
            yield f"      {name}={shlex.quote(env[name])}{_told(name, command)}"
    if command.directory:
        yield f"      in {command.directory}"
    if command.tolerant:
        yield "      onError: continue"
    if command.step.timeout:
        yield f"      timeout: {command.step.timeout:g} s"


def _told(name: str, command: Command) -> str:
    written = [v.value for v in command.step.variables if v.name == name and v.value]
    if name == "HOME" and written and written[0].value == TEKTON_HOME:
        return f" (yours, instead of {TEKTON_HOME})"
    return ""


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _value(value: Value) -> str:
    return shlex.quote(value) if isinstance(value, str) else _shown(value)
