"""Find what is wrong in a Pipeline, wherever it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepkit.tekton.check_fields import field_problems
from stepkit.tekton.check_task import (
    object_problems,
    on_error_problems,
    repeated_names,
    spec_problems,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.errors import ConfigurationError
    from stepkit.tekton.check_fields import Refused
    from stepkit.tekton.yaml_documents import Node


def pipeline_problems(
    document: Node, refused: Refused | None = None
) -> Iterator[ConfigurationError]:
    """Yield what keeps the Pipeline ``document`` from running anywhere.

    ``refused`` are fields that the caller refuses: see :func:`field_problems`. Whether the
    Pipeline fits its Tasks shows only where they are read together.
    """
    if wrong := list(field_problems(document, "Pipeline", refused or {})):
        yield from wrong
        return
    spec = document.child("spec")
    if not spec.child("tasks").items():
        yield spec.child("tasks").error("a Pipeline needs a task")
    for group in ("params", "workspaces", "results"):
        yield from repeated_names(spec.child(group).items())
    tasks = [*spec.child("tasks").items(), *spec.child("finally").items()]
    yield from repeated_names(task.at(f"{task.path} ({task.value['name']})") for task in tasks)
    yield from object_problems(spec.child("params").items(), "param")
    for task in tasks:
        yield from _task_problems(task)
    for task in spec.child("finally").items():
        if "runAfter" in task.fields():
            yield task.child("runAfter").error("tasks in finally have no order")


def _task_problems(task: Node) -> Iterator[ConfigurationError]:
    fields = task.fields()
    if ("taskRef" in fields) == ("taskSpec" in fields):
        yield task.error("needs either a taskRef or a taskSpec")
    if "taskSpec" in fields:
        yield from spec_problems(fields["taskSpec"])
    yield from on_error_problems(task)
    if task.value.get("onError") == "continue" and task.value.get("retries"):
        yield fields["onError"].error("Tekton takes no onError: continue together with retries")
    for group in ("params", "workspaces"):
        yield from repeated_names(task.child(group).items())
    for condition in task.child("when").items():
        if not condition.value["values"]:
            yield condition.child("values").error("needs at least one value")
    if "matrix" in fields:
        yield from _matrix_problems(
            fields["matrix"], {p.value["name"] for p in task.child("params").items()}
        )


def _matrix_problems(matrix: Node, passed: set[str]) -> Iterator[ConfigurationError]:
    params, include = matrix.child("params").items(), matrix.child("include").items()
    if not params and not include:
        yield matrix.error("a matrix needs params or include")
    groups = [params, *(entry.child("params").items() for entry in include)]
    for group in groups:
        yield from repeated_names(group)
    if both := passed & {param.value["name"] for group in groups for param in group}:
        yield matrix.error(f"{min(both)!r} is given by params and by matrix")
    for param in params:
        value = param.value["value"]
        if not isinstance(value, list) and not (isinstance(value, str) and value.endswith("[*])")):
            yield param.child("value").error("a param of a matrix must be a list")
