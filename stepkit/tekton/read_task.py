"""Read a Task, and the params and workspaces that Tasks and Pipelines declare alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepkit.formats import durations
from stepkit.tekton.objects import Param, Result, SecretKey, Step, Task, Type, Variable, Workspace

if TYPE_CHECKING:
    from stepkit.tekton.yaml_documents import Node


def read_task(spec: Node, name: str, *, inline: bool) -> Task:
    """Read a Task's ``spec``, which must have passed the checks of fields and of Tasks."""
    template = spec.child("stepTemplate").fields() if spec.get("stepTemplate") else {}
    steps = spec.child("steps").items()
    results: dict[str, Result] = {}
    for item in spec.child("results").items():
        keys = tuple(item.value.get("properties") or ())
        implied: Type = "object" if keys else "string"
        result = Result(name=item.value["name"], type=item.value.get("type") or implied, keys=keys)
        results[result.name] = result
    return Task(
        name=name,
        source=spec.source,
        inline=inline,
        params=read_params(spec),
        workspaces=read_workspaces(spec),
        results=results,
        steps=tuple(_read_step(step, template, number) for number, step in enumerate(steps)),
    )


def read_params(spec: Node) -> dict[str, Param]:
    """Read the params that a Task or a Pipeline declares."""
    found: dict[str, Param] = {}
    for item in spec.child("params").items():
        fields = item.fields()
        default = fields["default"].param_value() if "default" in fields else None
        implied: Type = "string"
        if "properties" in fields or isinstance(default, dict):
            implied = "object"
        elif isinstance(default, list):
            implied = "array"
        found[item.value["name"]] = Param(
            name=item.value["name"],
            type=fields["type"].value if "type" in fields else implied,
            keys=tuple(item.value.get("properties") or ()),
            default=default,
            node=item,
        )
    return found


def read_workspaces(spec: Node) -> dict[str, Workspace]:
    """Read the workspaces that a Task or a Pipeline declares."""
    return {
        item.value["name"]: Workspace(
            name=item.value["name"],
            optional=bool(item.value.get("optional")),
            read_only=bool(item.value.get("readOnly")),
            node=item,
        )
        for item in spec.child("workspaces").items()
    }


def read_timeout(holder: Node) -> float | None:
    """Return the ``timeout`` of a step or a task in seconds, None for no limit."""
    text = holder.value.get("timeout")
    return durations.parse(text) or None if text else None


def _read_step(node: Node, template: dict[str, Node], number: int) -> Step:
    own = node.fields()
    fields = {**template, **own}
    name = fields["name"].value if "name" in fields else f"unnamed-{number}"
    variables: dict[str, Variable] = {}
    mounts: list[Node] = []
    for part in (template, own):
        for item in part["env"].items() if "env" in part else []:
            variable, source, secret = item.value["name"], item.get("valueFrom"), None
            if source:
                key = source.child("secretKeyRef")
                optional = bool(key.value.get("optional"))
                secret = SecretKey(name=key.child("name"), key=key.child("key"), optional=optional)
            variables[variable] = Variable(name=variable, value=item.get("value"), secret=secret)
        if "volumeMounts" in part:
            mounts += part["volumeMounts"].items()
    return Step(
        name=name,
        command=fields["command"].items() if "command" in fields else [],
        args=fields["args"].items() if "args" in fields else [],
        variables=tuple(variables.values()),
        directory=fields.get("workingDir"),
        on_error=fields.get("onError"),
        timeout=read_timeout(node),
        fields=fields,
        mounts=tuple(mounts),
        node=node.at(f"{node.path} ({name})"),
    )
