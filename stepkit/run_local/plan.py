"""A Pipeline with the caller's values, and the TaskRuns that each of its tasks becomes."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit.formats.did_you_mean import did_you_mean
from stepkit.run_local import matrix
from stepkit.run_local.secret_files import Secrets
from stepkit.tekton import substitute_variables
from stepkit.tekton.objects import Pipeline, PipelineTask
from stepkit.tekton.param_values import check_type, with_defaults
from stepkit.tekton.substitute_variables import Names, Unknown

if TYPE_CHECKING:
    from stepkit.errors import ConfigurationError
    from stepkit.tekton.yaml_documents import Value

NAMESPACE: Final = "default"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A Pipeline with everything that the caller gives it."""

    pipeline: Pipeline
    run: str
    params: Names
    workspaces: Mapping[str, Path]
    secrets: Secrets
    resume: Path | None = None  # the directory of the run that this one resumes
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))

    def scope(self, tasks: Names) -> Names:
        """Return what a Pipeline's fields may refer to; ``tasks`` is what is known of its tasks."""
        run = Names(name=self.run, namespace=NAMESPACE, uid=self.uid)
        bound = {
            name: Names(bound=str(name in self.workspaces).lower())
            for name in self.pipeline.workspaces
        }
        return Names(
            params=self.params,
            workspaces=Names(bound),
            context=Names(pipelineRun=run, pipeline=Names(name=self.pipeline.name)),
            tasks=tasks,
        )


@dataclass(frozen=True, kw_only=True)
class TaskRun:
    """A task of the Pipeline, or one combination of its matrix, with its values."""

    task: PipelineTask
    label: str  # the task's name, with a number where it has a matrix
    name: str
    combination: Mapping[str, str]
    params: Names
    workspaces: Mapping[str, Path | None]
    ignored: bool  # its failure does not fail the Pipeline


def task_runs(plan: Plan, task: PipelineTask, scope: Names) -> list[TaskRun]:
    """Return the TaskRuns of ``task``: one, or as many as its matrix makes.

    Raises :class:`~stepkit.errors.ConfigurationError` when task and Task do not fit together, and
    :class:`~stepkit.tekton.substitute_variables.MissingResult` when a result that it needs was not
    written.
    """
    scope = _with_retries(task, scope)
    passed = {name: substitute_variables.value(node, scope) for name, node in task.params.items()}
    bound = _bind_workspaces(plan, task, scope)
    combined: list[dict[str, str]] = [{}]
    if task.matrix:
        combined = matrix.combinations(task.matrix, scope, task.node)
    ignored = (
        task.on_error is not None and substitute_variables.text(task.on_error, scope) == "continue"
    )
    found = []
    for number, combination in enumerate(combined):
        label = f"{task.name}-{number}" if task.matrix else task.name
        found.append(
            TaskRun(
                task=task,
                label=label,
                name=f"{plan.run}-{label}",
                combination=combination,
                params=_bind_params(plan, task, {**passed, **combination}),
                workspaces=bound,
                ignored=ignored,
            )
        )
    return found


def when_holds(task: PipelineTask, scope: Names) -> bool:
    """Return whether the ``when`` conditions of ``task`` let it run."""
    scope = _with_retries(task, scope)
    return all(
        (
            substitute_variables.text(when.input, scope)
            in substitute_variables.items(when.values.items(), scope)
        )
        != when.negated
        for when in task.when
    )


def _with_retries(task: PipelineTask, scope: Names) -> Names:
    own = Names(retries=str(task.retries))
    return Names({**scope, "context": Names({**scope["context"], "pipelineTask": own})})


def _bind_params(plan: Plan, task: PipelineTask, passed: Mapping[str, Value | Unknown]) -> Names:
    """Return the params of the Task: what the Pipeline passes, and defaults."""
    declared = task.task.params
    for name, value in passed.items():
        node = task.params.get(name, task.node)
        if name in declared:
            check_type(declared[name], value, node)
        elif not task.task.inline:
            hint = did_you_mean(name, declared)
            raise node.error(f"the Task {task.task.name} has no param {name!r}{hint}")

    def missing(name: str) -> ConfigurationError:
        return _not_given(task, "param", name)

    if not task.task.inline:
        return with_defaults(declared, passed, missing)
    # A taskSpec sees the Pipeline's params without declaring them; they win over its defaults.
    spread = {name: value for name, value in plan.params.items() if name in declared}
    return with_defaults(declared, {**spread, **passed}, missing, plan.params)


def _not_given(task: PipelineTask, kind: str, name: str) -> ConfigurationError:
    return task.node.error(f"the {kind} {name!r} of the Task {task.task.name} is not given")


def _bind_workspaces(plan: Plan, task: PipelineTask, scope: Names) -> dict[str, Path | None]:
    """Return the directory of each of the Task's workspaces, None for one that is not bound."""
    bound = {name: _bound_directory(plan, task, name, scope) for name in task.workspaces}
    for name, declared in task.task.workspaces.items():
        if name in bound:
            continue
        if task.task.inline and name in plan.pipeline.workspaces:
            bound[name] = plan.workspaces.get(name)
        elif declared.optional:
            bound[name] = None
        else:
            raise _not_given(task, "workspace", name)
    if task.task.inline:  # a taskSpec sees the Pipeline's workspaces without declaring them
        bound = {name: plan.workspaces.get(name) for name in plan.pipeline.workspaces} | bound
    return bound


def _bound_directory(plan: Plan, task: PipelineTask, name: str, scope: Names) -> Path | None:
    """Return the directory that the Pipeline binds to the Task's workspace ``name``."""
    binding, declared = task.workspaces[name], task.task.workspaces
    if name not in declared and not task.task.inline:
        hint = did_you_mean(name, declared)
        raise binding.node.error(f"the Task {task.task.name} has no workspace {name!r}{hint}")
    source = plan.pipeline.workspaces.get(binding.workspace)
    if source is None:
        hint = did_you_mean(binding.workspace, plan.pipeline.workspaces)
        raise binding.node.error(f"the Pipeline has no workspace {binding.workspace!r}{hint}")
    if source.optional and name in declared and not declared[name].optional:
        raise binding.node.error(
            f"the Pipeline's workspace {source.name!r} is optional, but the Task "
            f"{task.task.name} cannot do without {name!r}"
        )
    path = plan.workspaces.get(binding.workspace)
    if path is None or binding.sub_path is None:
        return path
    below = Path(substitute_variables.text(binding.sub_path, scope))
    if below.is_absolute() or ".." in below.parts:
        raise binding.sub_path.error(f"{str(below)!r} leads out of the workspace")
    return path / below
