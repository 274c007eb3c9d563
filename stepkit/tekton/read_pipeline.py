"""Take a Pipeline apart, and find the Tasks that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.formats.did_you_mean import did_you_mean
from stepkit.tekton.objects import Binding, Matrix, Pipeline, PipelineTask, Task, When
from stepkit.tekton.read_interface import read_params, read_workspaces
from stepkit.tekton.read_task import read_task
from stepkit.tekton.yaml_documents import Node, unique

if TYPE_CHECKING:
    from collections.abc import Callable

_PIPELINE_FIELDS: Final = (
    "description", "displayName", "params", "workspaces", "tasks", "finally", "results",
)  # fmt: skip
_TASK_FIELDS: Final = (
    "name", "displayName", "description", "taskRef", "taskSpec", "params", "workspaces", "when",
    "matrix", "runAfter", "retries", "timeout", "onError",
)  # fmt: skip
_TASK_REFUSED: Final = {
    "pipelineRef": "a Pipeline in a Pipeline; list its tasks here",
    "pipelineSpec": "a Pipeline in a Pipeline; list its tasks here",
    "conditions": "Tekton v1 calls it when",
    "resources": "Tekton v1 has no PipelineResources",
}
_REF_REFUSED: Final = {
    "resolver": "it fetches Tasks from elsewhere; name a Task of --tasks",
    "params": "they belong to a resolver",
    "bundle": "it fetches Tasks from elsewhere; name a Task of --tasks",
}


def read_pipeline(node: Node, find: Callable[[Node], Task]) -> Pipeline:
    """Read the Pipeline ``node``; ``find`` returns the Task that a taskRef's name stands for.

    Raises :class:`~stepkit.errors.ConfigurationError` for anything that cannot run as it is.
    """
    top = node.fields(("apiVersion", "kind", "metadata", "spec"), required=["spec"])
    fields = top["spec"].fields(_PIPELINE_FIELDS, required=["tasks"])
    groups = [
        [_task(item, find, final=final) for item in fields[name].items()] if name in fields else []
        for name, final in (("tasks", False), ("finally", True))
    ]
    if not groups[0]:
        raise fields["tasks"].error("a Pipeline needs a task")
    unique((task.name, task.node) for group in groups for task in group)
    return Pipeline(
        name=top["metadata"].value["name"],
        params=read_params(fields.get("params")),
        workspaces=read_workspaces(fields.get("workspaces"), {}),
        tasks=tuple(groups[0]),
        final=tuple(groups[1]),
        results=_results(fields.get("results")),
        node=node,
    )


def _task(node: Node, find: Callable[[Node], Task], *, final: bool) -> PipelineTask:
    fields = node.fields(_TASK_FIELDS, required=["name"], refused=_TASK_REFUSED)
    name = fields["name"].label()
    if ("taskRef" in fields) == ("taskSpec" in fields):
        raise node.error("needs either a taskRef or a taskSpec")
    if final and "runAfter" in fields:
        raise fields["runAfter"].error("tasks in finally have no order")
    task = (
        find(_task_name(fields["taskRef"]))
        if "taskRef" in fields
        else _inline(fields["taskSpec"], name)
    )
    on_error = fields.get("onError")
    if on_error and "$(" not in on_error.text():
        on_error.one_of("continue", "stopAndFail")
    retries = fields["retries"].count() if "retries" in fields else 0
    if on_error and on_error.value == "continue" and retries:
        raise on_error.error("Tekton takes no onError: continue together with retries")
    params = _values(fields.get("params"))
    matrix = _matrix(fields["matrix"]) if "matrix" in fields else None
    if matrix and (both := matrix.names() & set(params)):
        raise fields["matrix"].error(f"{min(both)!r} is given by params and by matrix")
    return PipelineTask(
        name=name,
        task=task,
        params=params,
        workspaces=_bindings(fields.get("workspaces")),
        when=tuple(_when(item) for item in fields["when"].items()) if "when" in fields else (),
        matrix=matrix,
        run_after=tuple(fields["runAfter"].texts()) if "runAfter" in fields else (),
        retries=retries,
        timeout=fields["timeout"].duration() if "timeout" in fields else None,
        on_error=on_error,
        node=Node(node.value, node.source, f"{node.path} ({name})"),
        final=final,
    )


def _task_name(ref: Node) -> Node:
    fields = ref.fields(("name", "kind", "apiVersion"), required=["name"], refused=_REF_REFUSED)
    kind = fields["kind"].text() if "kind" in fields else "Task"
    version = fields["apiVersion"].text() if "apiVersion" in fields else "tekton.dev/v1"
    if kind != "Task" or version != "tekton.dev/v1":
        raise ref.error(f"run-local refuses {version} {kind}: only Tasks of tekton.dev/v1")
    if "$(" in fields["name"].text():
        raise fields["name"].error("run-local replaces no variables in a Task's name")
    return fields["name"]


def _inline(spec: Node, name: str) -> Task:
    refused = dict.fromkeys(("apiVersion", "kind", "spec"), "custom tasks need their controller")
    rest = {key: value for key, value in spec.anything().items() if key != "metadata"}
    for key, child in rest.items():
        if key in refused:
            raise child.error(f"run-local refuses this: {refused[key]}")
    kept = Node({key: child.value for key, child in rest.items()}, spec.source, spec.path)
    return read_task(kept, name, spec.source, inline=True)


def _values(node: Node | None) -> dict[str, Node]:
    found = []
    for item in node.items() if node else []:
        fields = item.fields(("name", "value"), required=["name", "value"])
        fields["value"].param_value()
        found.append((fields["name"].text(), fields["value"]))
    unique(found)
    return dict(found)


def _bindings(node: Node | None) -> dict[str, Binding]:
    found = []
    for item in node.items() if node else []:
        fields = item.fields(("name", "workspace", "subPath"), required=["name"])
        name = fields["name"].text()
        source = fields["workspace"].text() if "workspace" in fields else name
        if "subPath" in fields:
            fields["subPath"].text()
        binding = Binding(workspace=source, sub_path=fields.get("subPath"), node=item)
        found.append((name, binding))
    unique((name, binding.node) for name, binding in found)
    return dict(found)


def _when(node: Node) -> When:
    fields = node.fields(
        ("input", "operator", "values"),
        required=["input", "operator", "values"],
        refused={"cel": "an alpha feature of the cluster; use input, operator and values"},
    )
    fields["input"].text()
    operator = fields["operator"].one_of("in", "notin")
    if not fields["values"].texts():
        raise fields["values"].error("needs at least one value")
    return When(input=fields["input"], negated=operator == "notin", values=fields["values"])


def _matrix(node: Node) -> Matrix:
    fields = node.fields(("params", "include"))
    params = _values(fields.get("params"))
    for value in params.values():
        whole = isinstance(value.value, str) and value.value.endswith("[*])")
        if not isinstance(value.value, list) and not whole:
            raise value.error("a param of a matrix must be a list")
    include = []
    for item in fields["include"].items() if "include" in fields else []:
        entry = _values(item.fields(("name", "params")).get("params"))
        for value in entry.values():
            value.text()
        include.append(entry)
    if not params and not include:
        raise node.error("a matrix needs params or include")
    return Matrix(params=params, include=tuple(include))


def _results(node: Node | None) -> dict[str, Node]:
    found = []
    for item in node.items() if node else []:
        fields = item.fields(("name", "type", "description", "value"), required=["name", "value"])
        fields["value"].param_value()
        found.append((fields["name"].text(), fields["value"]))
    unique(found)
    return dict(found)


def object_name(node: Node, file: str) -> tuple[str, str]:
    """Return kind and name of a document of ``file``.

    Raises :class:`~stepkit.errors.ConfigurationError` when it is no object of Tekton's v1.
    """
    head = Node(node.value, file).anything()
    if "kind" not in head or "apiVersion" not in head:
        raise Node(None, file).error("a document has no kind or no apiVersion")
    kind, version = head["kind"].text(), head["apiVersion"].text()
    if kind not in {"Pipeline", "Task"}:
        raise Node(None, file).error(
            f"run-local refuses the {kind} in it: it takes a Pipeline and its Tasks"
            f"{did_you_mean(kind, ['Pipeline', 'Task'])}"
        )
    if version != "tekton.dev/v1":
        raise head["apiVersion"].error(f"run-local reads tekton.dev/v1, not {version}")
    if "metadata" not in head:
        raise Node(None, file).error(f"a {kind} has no metadata")
    metadata = head["metadata"].fields(
        ("name", "namespace", "labels", "annotations"), required=["name"]
    )
    return kind, metadata["name"].text()
