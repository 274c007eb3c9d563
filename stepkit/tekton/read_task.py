"""Take a Task apart: its interface and its steps, with nothing left over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.formats.did_you_mean import did_you_mean
from stepkit.tekton.objects import SecretKey, Step, Task, Variable
from stepkit.tekton.read_interface import read_params, read_results, read_workspaces
from stepkit.tekton.yaml_documents import Node, unique

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ONE_MACHINE: Final = "it needs a cluster"
_TASK_FIELDS: Final = (
    "description", "displayName", "params", "workspaces", "results", "steps", "stepTemplate",
    "volumes",
)  # fmt: skip
_TASK_REFUSED: Final = {"sidecars": f"{_ONE_MACHINE}; run the service beside it yourself"}
_STEP_APPLIED: Final = ("name", "command", "args", "env", "workingDir", "onError", "timeout")
_STEP_UNAPPLIED: Final = (
    "image", "imagePullPolicy", "securityContext", "computeResources", "volumeMounts",
    "displayName", "workspaces",
)  # fmt: skip
_STEP_REFUSED: Final = {
    "script": "write a command and its args",
    "ref": "StepActions are not run here; write the step into the Task",
    "params": "they belong to a StepAction",
    "results": "write a result of the Task",
    "when": "put the condition on the Pipeline's task",
    "envFrom": "name each variable under env",
    "stdoutConfig": "an alpha feature of the cluster",
    "stderrConfig": "an alpha feature of the cluster",
    "volumeDevices": _ONE_MACHINE,
    "livenessProbe": _ONE_MACHINE,
    "readinessProbe": _ONE_MACHINE,
    "startupProbe": _ONE_MACHINE,
    "lifecycle": _ONE_MACHINE,
    "ports": _ONE_MACHINE,
    "resources": "Tekton v1 calls it computeResources",
}
_TEMPLATE_FIELDS: Final = (
    "image", "imagePullPolicy", "securityContext", "computeResources", "volumeMounts", "env",
    "workingDir", "command", "args",
)  # fmt: skip
_ENV_REFUSED: Final = dict.fromkeys(
    ("configMapKeyRef", "fieldRef", "resourceFieldRef", "fileKeyRef"), _ONE_MACHINE
)
_SHOWN: Final = {"displayName"}  # it changes nothing anywhere


def read_task(spec: Node, name: str, source: str, *, inline: bool) -> Task:
    """Read a Task's ``spec``.

    Raises :class:`~stepkit.errors.ConfigurationError` for anything that cannot run as it is.
    """
    fields = spec.fields(_TASK_FIELDS, required=["steps"], refused=_TASK_REFUSED)
    volumes = _volumes(fields.get("volumes"))
    template = _template(fields.get("stepTemplate"))
    merged = [_merged(node, template) for node in fields["steps"].items()]
    if not merged:
        raise fields["steps"].error("a Task needs a step")
    workspaces = read_workspaces(
        fields.get("workspaces"),
        {"mountPath": "run-local cannot mount; use $(workspaces.NAME.path)"},
    )
    steps = tuple(_step(step, number) for number, step in enumerate(merged))
    unique((step.name, step.node) for step in steps)
    for step in merged:
        _check_mounts(step, volumes, workspaces)
    return Task(
        name=name,
        source=source,
        inline=inline,
        params=read_params(fields.get("params")),
        workspaces=workspaces,
        results=read_results(fields.get("results")),
        steps=steps,
        unapplied=tuple(_unapplied(merged, fields.get("workspaces"))),
        inert=tuple(node for step in merged for node in _inert(step)),
    )


def _volumes(node: Node | None) -> set[str]:
    found = []
    for item in node.items() if node else []:
        if isinstance(item.value, dict):
            other = [key for key in item.value if key not in {"name", "emptyDir"}]
            if other:
                raise item.error(f"run-local refuses a volume of kind {other[0]}: only emptyDir")
        fields = item.fields(("name", "emptyDir"), required=["name", "emptyDir"])
        fields["emptyDir"].fields(("medium", "sizeLimit"))
        found.append((fields["name"].label(), item))
    unique(found)
    return {name for name, _ in found}


def _template(node: Node | None) -> dict[str, Node]:
    if node is None:
        return {}
    return node.fields(_TEMPLATE_FIELDS, refused=_STEP_REFUSED)


class _Merged:
    """A step's fields, over those of the stepTemplate."""

    def __init__(self, node: Node, fields: dict[str, Node], template: dict[str, Node]) -> None:
        self.node = node
        self.fields = {**template, **fields}
        self.env = [part["env"] for part in (template, fields) if "env" in part]
        self.mounts = [
            part["volumeMounts"] for part in (template, fields) if "volumeMounts" in part
        ]


def _merged(node: Node, template: dict[str, Node]) -> _Merged:
    if isinstance(node.value, dict) and {"script", "command"} <= set(node.value):
        raise node.error("a step has either a script or a command, not both")
    fields = node.fields((*_STEP_APPLIED, *_STEP_UNAPPLIED), refused=_STEP_REFUSED)
    return _Merged(node, fields, template)


def _step(step: _Merged, number: int) -> Step:
    fields = step.fields
    name = fields["name"].label() if "name" in fields else f"unnamed-{number}"
    where = Node(step.node.value, step.node.source, f"{step.node.path} ({name})")
    if "image" not in fields:
        raise where.error("the field 'image' is missing, here and in the stepTemplate")
    if "command" not in fields or not fields["command"].texts():
        raise where.error("the command is missing: run-local does not know the image's entrypoint")
    on_error = fields.get("onError")
    if on_error and "$(" not in on_error.text():
        on_error.one_of("continue", "stopAndFail")
    return Step(
        name=name,
        command=fields["command"].texts(),
        args=fields["args"].texts() if "args" in fields else [],
        variables=_variables(step),
        directory=fields.get("workingDir"),
        on_error=on_error,
        timeout=fields["timeout"].duration() if "timeout" in fields else None,
        node=where,
    )


def _variables(step: _Merged) -> tuple[Variable, ...]:
    found: dict[str, Variable] = {}
    for part in step.env:
        own = [_variable(item) for item in part.items()]
        unique((variable.name, part) for variable in own)
        found |= {variable.name: variable for variable in own}
    return tuple(found.values())


def _variable(node: Node) -> Variable:
    fields = node.fields(("name", "value", "valueFrom"), required=["name"])
    if {"value", "valueFrom"} <= set(fields):
        raise node.error("has both a value and a valueFrom")
    name, secret = fields["name"].text(), None
    if not name or "=" in name or "\0" in name:
        raise node.error(f"{name!r} is no name of an environment variable")
    if "valueFrom" in fields:
        source = fields["valueFrom"].fields(
            ("secretKeyRef",), required=["secretKeyRef"], refused=_ENV_REFUSED
        )["secretKeyRef"]
        parts = source.fields(("name", "key", "optional"), required=["name", "key"])
        parts["name"].text()
        parts["key"].text()
        optional = "optional" in parts and parts["optional"].flag()
        secret = SecretKey(name=parts["name"], key=parts["key"], optional=optional)
    if "value" in fields:
        fields["value"].text()
    return Variable(name=name, value=fields.get("value"), secret=secret)


def _check_mounts(step: _Merged, volumes: set[str], workspaces: Iterable[str]) -> None:
    for item in (item for part in step.mounts for item in part.items()):
        fields = item.fields(
            ("name", "mountPath", "readOnly", "subPath"), required=["name", "mountPath"]
        )
        name, path = fields["name"].text(), fields["mountPath"].text()
        if name not in volumes and "$(" not in name:
            raise item.error(f"there is no volume {name!r}{did_you_mean(name, volumes)}")
        if f"{path}/".startswith("/tekton/") and not f"{path}/".startswith("/tekton/home/"):
            raise item.error("Tekton allows no mounts below /tekton/")
    for item in step.fields["workspaces"].items() if "workspaces" in step.fields else []:
        refused = {"mountPath": "run-local cannot mount; use $(workspaces.NAME.path)"}
        name = item.fields(("name",), required=["name"], refused=refused)["name"].text()
        if name not in workspaces:
            raise item.error(f"there is no workspace {name!r}{did_you_mean(name, workspaces)}")
    if "computeResources" in step.fields and "$(" in str(step.fields["computeResources"].value):
        raise step.fields["computeResources"].error("Tekton replaces no variables here")


def _unapplied(steps: list[_Merged], workspaces: Node | None) -> Iterator[str]:
    for name in _STEP_UNAPPLIED:
        if name in _SHOWN or not any(name in step.fields for step in steps):
            continue
        if name == "volumeMounts":
            paths = {i.value["mountPath"]: "" for s in steps for p in s.mounts for i in p.items()}
            yield f"volumes ({', '.join(paths)})"
        elif name == "workspaces":
            yield "workspaces isolated to a step"
        else:
            yield name
    if any(item.value.get("readOnly") for item in (workspaces.items() if workspaces else [])):
        yield "readOnly workspaces"


def _inert(step: _Merged) -> Iterator[Node]:
    yield from (step.fields[n] for n in ("image", "imagePullPolicy") if n in step.fields)
    for item in (item for part in step.mounts for item in part.items()):
        yield from item.anything().values()
