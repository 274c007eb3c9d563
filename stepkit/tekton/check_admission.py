"""Find what a cluster refuses when it makes a Task, a Pipeline, or a pod of one.

These are rules about containers, volumes and resources, which have no meaning on one machine.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stepkit.tekton.read_task import read_params
from stepkit.tekton.substitute_variables import type_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.errors import ConfigurationError
    from stepkit.tekton.yaml_documents import Node

_ALPHA: Final = ("stdoutConfig", "stderrConfig")  # of a step, behind a flag of the cluster
_OF_A_STEP_ACTION: Final = ("image", "command", "args", "script", "env", "volumeMounts")
# https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
_VOLUMES: Final = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "projected", "secret",
}  # fmt: skip
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUANTITY: Final = re.compile(r"(\d+(?:\.\d+)?)(m|k|[MGTPE]|[KMGTPE]i)?")
_FACTORS: Final = {
    "": 1.0,
    "m": 0.001,
    "k": 1e3,
    **{suffix: 1000.0**n for n, suffix in enumerate("MGTPE", 2)},
    **{f"{suffix}i": 1024.0**n for n, suffix in enumerate("KMGTPE", 1)},
}


def admission_problems(document: Node) -> Iterator[ConfigurationError]:
    """Yield what is refused when the object ``document``, or a pod of it, is made."""
    kind, spec = document.value["kind"], document.child("spec")
    metadata = document.value.get("metadata") or {}
    if not metadata.get("name") and not metadata.get("generateName"):
        yield document.child("metadata").error("needs name or generateName")
    if kind == "Task":
        yield from _task_problems(spec)
    elif kind == "Pipeline":
        yield from _pipeline_problems(spec)
    elif kind == "PipelineRun" and "pipelineSpec" in spec.value:
        yield from _pipeline_problems(spec.child("pipelineSpec"))


def _task_problems(spec: Node) -> Iterator[ConfigurationError]:
    for param in read_params(spec).values():
        if "enum" in param.node.value:
            yield param.node.error("enum needs an alpha flag of the cluster")
        if param.default is not None and param.type != type_of(param.default):
            yield param.node.error(f"its default is not of type {param.type}")
    for step in spec.child("steps").items():
        for field in {*_ALPHA} & set(step.value):
            yield step.child(field).error("needs an alpha flag of the cluster")
        if "ref" in step.value and {*_OF_A_STEP_ACTION} & set(step.value):
            yield step.error("a step with a StepAction has none of the StepAction's fields")
    for container in (*spec.child("steps").items(), *spec.child("sidecars").items()):
        yield from _container_problems(container, spec)
    yield from _volume_problems(spec)


def _volume_problems(spec: Node) -> Iterator[ConfigurationError]:
    holders = [*spec.child("steps").items(), *spec.child("sidecars").items()]
    holders += [spec.child("stepTemplate")] if spec.get("stepTemplate") else []
    mounted = {m.value["name"] for one in holders for m in one.child("volumeMounts").items()}
    for volume in spec.child("volumes").items():
        name = volume.value["name"]
        if name not in mounted:
            yield volume.error(f"the volume {name} is not mounted")
        if name.startswith("tekton-internal"):
            yield volume.error(f"{name} is not a valid name for a volume: Tekton uses it")
        for kind in sorted(set(volume.value) - _VOLUMES - {"name"}):
            yield volume.error(f"{kind}: a Task brings no such volume")
    for name in sorted(mounted - {item.value["name"] for item in spec.child("volumes").items()}):
        yield spec.error(f"there is no volume {name!r}")


def _container_problems(container: Node, spec: Node) -> Iterator[ConfigurationError]:
    for variable in container.child("env").items():
        if not _VARIABLE.fullmatch(variable.value["name"]):
            yield variable.error(f"{variable.value['name']} is not the name of a variable")
    yield from resource_problems(container.child("computeResources"))
    workspaces = [item.value for item in spec.child("workspaces").items()]
    taken = {item.get("mountPath", f"/workspace/{item['name']}") for item in workspaces}
    mounts = container.child("volumeMounts").items()
    places = [mount.value["mountPath"].rstrip("/") for mount in mounts]
    for place in places:
        if places.count(place) > 1 or place in taken:
            yield container.error(f"volumeMounts: {place} is taken")
    for place in {*places, *taken}:
        if f"{place}/".startswith("/tekton/"):
            yield container.error(f"volumeMounts: {place}: /tekton is Tekton's own")


def resource_problems(asked: Node) -> Iterator[ConfigurationError]:
    """Yield what is not a quantity, and requests above their limits."""
    amounts: dict[str, dict[str, float]] = {}
    for group, quantities in (asked.value or {}).items():
        amounts[group] = {}
        for name, quantity in quantities.items():
            match = _QUANTITY.fullmatch(str(quantity))
            if not match:
                yield asked.error(f"{name}: {quantity} is not a quantity")
                return
            amounts[group][name] = float(match[1]) * _FACTORS[match[2] or ""]
    limits = amounts.get("limits", {})
    for name, amount in amounts.get("requests", {}).items():
        if amount > limits.get(name, amount):
            yield asked.error(f"{name}: requests more than its limit")


def _pipeline_problems(spec: Node) -> Iterator[ConfigurationError]:
    for task in (*spec.child("tasks").items(), *spec.child("finally").items()):
        if task.get("taskSpec"):
            yield from _task_problems(task.child("taskSpec"))
        if (task.value.get("taskRef") or {}).get("kind", "Task") != "Task":
            kind = task.value["taskRef"]["kind"]
            yield task.child("taskRef").error(f"there is no kind {kind}")
    for task in spec.child("finally").items():
        if "onError" in task.value:
            yield task.child("onError").error("no task comes after finally: use the step's onError")
    for result in spec.child("results").items():
        if not re.fullmatch(r"(\$\([^()]+\))+", str(result.value["value"])):
            yield result.error("must consist of results of tasks")
