"""Find what is wrong in a Task, wherever it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepkit.formats.did_you_mean import did_you_mean
from stepkit.tekton.check_fields import field_problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stepkit.errors import ConfigurationError
    from stepkit.tekton.check_fields import Refused
    from stepkit.tekton.yaml_documents import Node


def task_problems(document: Node, refused: Refused | None = None) -> Iterator[ConfigurationError]:
    """Yield what keeps the Task ``document`` from running anywhere.

    ``refused`` are fields that the caller refuses: see :func:`field_problems`.
    """
    wrong = list(field_problems(document, "Task", refused or {}))
    yield from wrong or spec_problems(document.child("spec"))


def spec_problems(spec: Node) -> Iterator[ConfigurationError]:
    """Yield what is wrong in a Task's ``spec`` although its fields have the right types."""
    steps = spec.child("steps").items()
    if not steps:
        yield spec.child("steps").error("a Task needs a step")
    for group in ("params", "workspaces", "results", "steps", "volumes"):
        yield from repeated_names(spec.child(group).items())
    yield from object_problems(spec.child("params").items(), "param")
    yield from object_problems(spec.child("results").items(), "result")
    volumes = {volume.value["name"] for volume in spec.child("volumes").items()}
    for volume in spec.child("volumes").items():
        if set(volume.fields()) <= {"name"}:
            yield volume.error("the field 'emptyDir' is missing")
    template = spec.get("stepTemplate")
    for step in steps:
        yield from _step_problems(step, template.value if template else {}, spec)
    for container in (*([template] if template else []), *steps):
        yield from _container_problems(container, volumes)


def repeated_names(items: Iterable[Node]) -> Iterator[ConfigurationError]:
    """Yield the items whose name an item before them has."""
    seen: set[str] = set()
    for item in items:
        name = item.value.get("name")
        if name in seen:
            yield item.error(f"the name {name!r} is used twice")
        seen |= {name} if name is not None else set()


def on_error_problems(holder: Node) -> Iterator[ConfigurationError]:
    """Yield an ``onError`` that is not one of Tekton's words; a variable may become one."""
    given = holder.child("onError")
    words = ("continue", "stopAndFail")
    if given.value is not None and "$(" not in given.value and given.value not in words:
        yield given.error(f"{given.value!r} is none of {', '.join(words)}")


def object_problems(declared: list[Node], what: str) -> Iterator[ConfigurationError]:
    """Yield the params or results of type object that do not name their keys."""
    for item in declared:
        implied = "object" if isinstance(item.value.get("default"), dict) else "string"
        if (item.value.get("type") or implied) == "object" and not item.value.get("properties"):
            yield item.error(f"a {what} of type object needs properties")


def _step_problems(
    step: Node, template: dict[str, Any], spec: Node
) -> Iterator[ConfigurationError]:
    merged = {**template, **step.fields()}
    if "script" in step.fields() and "command" in step.fields():
        yield step.error("a step has either a script or a command, not both")
    if merged.get("image") is None and "ref" not in step.value:
        name = step.value.get("name")
        where = step.at(f"{step.path} ({name})") if name else step
        yield where.error("the field 'image' is missing, here and in the stepTemplate")
    yield from on_error_problems(step)
    workspaces = {workspace.value["name"] for workspace in spec.child("workspaces").items()}
    for item in step.child("workspaces").items():
        name = item.value["name"]
        if name not in workspaces:
            yield item.error(f"there is no workspace {name!r}{did_you_mean(name, workspaces)}")
    if "$(" in str(step.value.get("computeResources", template.get("computeResources"))):
        yield step.child("computeResources").error("Tekton replaces no variables here")


def _container_problems(container: Node, volumes: set[str]) -> Iterator[ConfigurationError]:
    """Yield what is wrong in the variables and mounts of a step or the stepTemplate."""
    env = container.child("env").items()
    yield from repeated_names(env)
    for variable in env:
        name, source = variable.value["name"], variable.get("valueFrom")
        if source and "value" in variable.fields():
            yield variable.error("has both a value and a valueFrom")
        if not name or "=" in name or "\0" in name:
            yield variable.error(f"{name!r} is not the name of an environment variable")
        if source and not source.fields():
            yield source.error("the field 'secretKeyRef' is missing")
    for mount in container.child("volumeMounts").items():
        name, path = mount.value["name"], mount.value["mountPath"]
        if name not in volumes and "$(" not in name:
            yield mount.error(f"there is no volume {name!r}{did_you_mean(name, volumes)}")
        if f"{path}/".startswith("/tekton/") and not f"{path}/".startswith("/tekton/home/"):
            yield mount.error("Tekton allows no mounts below /tekton/")
