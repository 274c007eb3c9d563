"""Make the StepActions of the Tasks, so that both cannot differ.

A StepAction is a Task's step, for use in another Task. Tekton gives it no workspaces, volumes,
computeResources or timeout: a path becomes a param, the rest is for the Task that uses it, and its
description says so.

`python -m tasks.generated` writes them.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

_WORKSPACE: Final = re.compile(r"\$\(workspaces\.([\w-]+)\.(\w+)\)")
_PARAM: Final = re.compile(r"\$\(params\.([\w-]+)")
_RESULT: Final = re.compile(r"\$\(results\.([\w-]+)\.path\)")
_WIDTH: Final = 100
_KEPT: Final = ("command", "args", "env", "workingDir", "securityContext", "volumeMounts")
_LEFT: Final = ("name", "image", "workspaces", "computeResources", "timeout", "onError")


def step_action(task: dict[str, Any]) -> dict[str, Any]:
    """Return the StepAction (``tekton.dev/v1beta1``) of a Task with one step, as YAML values.

    Raises :class:`ValueError` for what a StepAction cannot say.
    """
    spec = task["spec"]
    step = _merged(spec)
    mounts = [
        {**mount, "name": f"$(params.{_volume_param(mount['name'])})"}
        for mount in step.get("volumeMounts", [])
    ]
    made: dict[str, Any] = {
        "description": _description(task, step),
        "params": [*spec.get("params", []), *_path_params(spec), *_volume_params(step)],
        "results": spec.get("results", []),
        "image": step["image"],
        **{name: step[name] for name in _KEPT if name in step},
        **({"volumeMounts": mounts} if mounts else {}),
    }
    action = _renamed({name: value for name, value in made.items() if value}, spec)
    used = set(_PARAM.findall(str({**action, "description": "", "params": []})))
    action["params"] = [param for param in action["params"] if param["name"] in used]
    return {
        "apiVersion": "tekton.dev/v1beta1",
        "kind": "StepAction",
        "metadata": task["metadata"],
        "spec": action,
    }


def text(name: str, task: str) -> str:
    """Return the file of the StepAction of the Task ``name``, from the text of its file."""
    made = yaml.dump(
        step_action(yaml.safe_load(task)),
        Dumper=_Dumper,
        sort_keys=False,
        width=_WIDTH,
        allow_unicode=True,
    )
    return f"# Made of tasks/{name}.yaml: change that, then `make generated`.\n{made}"


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - PyYAML's signature
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _shown(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", data, style=">" if "\n" in data else None
    )


_Dumper.add_representer(str, _shown)


def _merged(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the one step of a Task with what its stepTemplate adds."""
    if len(spec["steps"]) != 1:
        raise ValueError("a StepAction is one step")
    (step,), template = spec["steps"], spec.get("stepTemplate", {})
    unknown = {*step, *template} - {*_KEPT, *_LEFT}
    if unknown:
        raise ValueError(f"a StepAction cannot say {', '.join(sorted(unknown))}")
    lists = {
        name: [*template.get(name, []), *step.get(name, [])]
        for name in ("env", "volumeMounts")
        if name in template or name in step
    }
    if "env" in lists:  # the step's own value counts
        lists["env"] = list({entry["name"]: entry for entry in lists["env"]}.values())
    return {**template, **step, **lists}


def _path_params(spec: dict[str, Any]) -> list[dict[str, str]]:
    made = []
    for workspace in spec.get("workspaces", []):
        name = workspace["name"]
        use = f"pass $(workspaces.{name}.path). {workspace['description']}"
        param = {"name": f"{name}-path", "type": "string", "description": f"Directory: {use}"}
        made.append({**param, "default": ""} if workspace.get("optional") else param)
    return made


def _volume_param(volume: str) -> str:
    return f"{volume}-volume"


def _volume_params(step: dict[str, Any]) -> list[dict[str, str]]:
    # Admission takes no other name of a volume than one param.
    return [
        {
            "name": _volume_param(mount["name"]),
            "type": "string",
            "description": f"Volume of the Task to mount at {mount['mountPath']}.",
            "default": mount["name"],
        }
        for mount in step.get("volumeMounts", [])
    ]


def _description(task: dict[str, Any], step: dict[str, Any]) -> str:
    name = task["metadata"]["name"]
    needs = [f"This is the step of the Task {name}, for use in your own Tasks."]
    if limits := step.get("computeResources", {}).get("limits"):
        shown = ", ".join(f'{key}: "{value}"' for key, value in limits.items())
        needs.append(f"The step that refers to it asks for computeResources.limits ({shown}).")
    if "onError" in step:
        needs.append("Its onError decides whether an error ends the Task.")
    volumes = {volume["name"]: volume for volume in task["spec"].get("volumes", [])}
    for mount in step.get("volumeMounts", []):
        medium = volumes[mount["name"]].get("emptyDir", {}).get("medium", "")
        shown = "an emptyDir" + (f" with medium {medium}" if medium else "")
        needs.append(f"Its Task has a volume {mount['name']}: {shown}.")
    own = task["spec"]["description"].replace("This Task", f"The Task {name}").split("\n")
    return "\n\n".join([*filter(None, own), " ".join(needs)])


def _renamed(value: Any, spec: dict[str, Any]) -> Any:
    """Spell the references of a Task in ``value`` as a StepAction does."""
    if isinstance(value, dict):
        return {
            key: item if key == "description" else _renamed(item, spec)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_renamed(item, spec) for item in value]
    if not isinstance(value, str):
        return value
    return _RESULT.sub(r"$(step.results.\1.path)", _WORKSPACE.sub(_path_reference, value))


def _path_reference(match: re.Match[str]) -> str:
    if match[2] != "path":
        raise ValueError(f"a StepAction knows no {match[0]}: use the path")
    return f"$(params.{match[1]}-path)"
