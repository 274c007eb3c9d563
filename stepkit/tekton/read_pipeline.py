"""Read a Pipeline together with the Tasks that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepkit.tekton.objects import Binding, Matrix, Pipeline, PipelineTask, Task, When
from stepkit.tekton.read_task import read_params, read_task, read_timeout, read_workspaces

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepkit.tekton.yaml_documents import Node


def read_pipeline(node: Node, find: Callable[[Node], Task]) -> Pipeline:
    """Read the Pipeline ``node``, which must have passed the checks of fields and of Pipelines.

    ``find`` returns the Task that a taskRef stands for; what it raises, this raises.
    """
    spec = node.child("spec")
    groups = [
        tuple(_read_task(item, find, final=final) for item in spec.child(name).items())
        for name, final in (("tasks", False), ("finally", True))
    ]
    return Pipeline(
        name=node.value["metadata"]["name"],
        params=read_params(spec),
        workspaces=read_workspaces(spec),
        tasks=groups[0],
        final=groups[1],
        results=_read_values(spec.child("results")),
        node=node,
    )


def _read_task(node: Node, find: Callable[[Node], Task], *, final: bool) -> PipelineTask:
    fields, name = node.fields(), node.value["name"]
    if "taskRef" in fields:
        task = find(fields["taskRef"])
    else:
        task = read_task(fields["taskSpec"], name, inline=True)
    bindings = {
        item.value["name"]: Binding(
            workspace=item.value.get("workspace") or item.value["name"],
            sub_path=item.get("subPath"),
            node=item,
        )
        for item in node.child("workspaces").items()
    }
    when = tuple(
        When(
            input=item.child("input"),
            negated=item.value["operator"] == "notin",
            values=item.child("values"),
        )
        for item in node.child("when").items()
    )
    matrix = None
    if "matrix" in fields:
        include = fields["matrix"].child("include").items()
        matrix = Matrix(
            params=_read_values(fields["matrix"].child("params")),
            include=tuple(_read_values(entry.child("params")) for entry in include),
        )
    return PipelineTask(
        name=name,
        task=task,
        params=_read_values(node.child("params")),
        workspaces=bindings,
        when=when,
        matrix=matrix,
        run_after=tuple(node.child("runAfter").items()),
        retries=node.value.get("retries") or 0,
        timeout=read_timeout(node),
        on_error=fields.get("onError"),
        node=node.at(f"{node.path} ({name})"),
        final=final,
    )


def _read_values(node: Node) -> dict[str, Node]:
    return {item.value["name"]: item.child("value") for item in node.items()}
