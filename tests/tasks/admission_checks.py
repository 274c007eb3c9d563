"""What Tekton, Kubernetes and the profile "restricted" refuse, and no schema tells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tasks.manifests import Library, Manifest, named, pipeline_tasks, repeated
from tasks.task_checks import SECURITY, units

if TYPE_CHECKING:
    from collections.abc import Iterator

ALPHA = ("stdoutConfig", "stderrConfig")  # of a step, behind a flag of the cluster
OF_A_STEP_ACTION = ("image", "command", "args", "script", "env", "volumeMounts")
# https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "projected", "secret"}
SOURCES = {
    *("persistentVolumeClaim", "volumeClaimTemplate", "emptyDir"),
    *("configMap", "secret", "projected", "csi"),
}
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ON_ERROR = re.compile(r"continue|stopAndFail|\$\(params\.[\w-]+\)")
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|[MGTPE]|[KMGTPE]i)?")
_FACTORS = {"": 1.0, "m": 0.001, "k": 1e3, **{s: 1000.0**n for n, s in enumerate("MGTPE", 2)}}
_FACTORS |= {f"{s}i": 1024.0**n for n, s in enumerate("KMGTPE", 1)}


def check_admission(manifest: Manifest, library: Library) -> Iterator[str]:  # noqa: ARG001
    """Find what is refused when the object, or a pod of it, is made."""
    metadata = manifest.value.get("metadata", {})
    if not metadata.get("name") and not metadata.get("generateName"):
        yield "metadata: needs name or generateName"
    version = metadata.get("annotations", {}).get("tekton.dev/pipelines.minVersion", "0.0.0")
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        yield f"metadata: minVersion {version} is no version"
    for unit in units(manifest):
        yield from _task(unit.spec)
    if manifest.kind == "Pipeline":
        yield from _pipeline(manifest.spec)
    elif manifest.kind == "PipelineRun":
        yield from _pipeline(manifest.spec.get("pipelineSpec", {}))
        yield from _run(manifest.spec)


def _task(spec: dict[str, Any]) -> Iterator[str]:
    template = spec.get("stepTemplate", {})
    for param in spec.get("params", []):
        if "enum" in param:
            yield f"params: {param['name']}: enum needs an alpha flag"
        if isinstance(param.get("default"), list) != (param.get("type") == "array") and (
            "default" in param and param.get("type") != "object"
        ):
            yield f"params: {param['name']}: its default is no {param.get('type', 'string')}"
    for step in spec["steps"]:
        yield from _container(step, spec)
        for field in {*ALPHA} & set(step):
            yield f"{field}: needs an alpha flag"
        if "ref" in step and {*OF_A_STEP_ACTION} & set(step):
            yield "ref: a step with a StepAction has no fields of its own"
        for name in sorted(set(named(step.get("workspaces"))) - set(named(spec.get("workspaces")))):
            yield f"workspaces: {name}: the Task has no such workspace"
    for sidecar in spec.get("sidecars", []):
        yield from _container(sidecar, spec)
        if sidecar.get("securityContext") != SECURITY:
            yield f"sidecars: {sidecar['name']}: is not what the profile restricted asks for"
    yield from _volumes(spec, template)


def _container(one: dict[str, Any], spec: dict[str, Any]) -> Iterator[str]:
    for variable in one.get("env", []):
        if not _VARIABLE.fullmatch(variable["name"]):
            yield f"env: {variable['name']} is no name of a variable"
        if {"value", "valueFrom"} <= set(variable):
            yield f"env: {variable['name']} has both value and valueFrom"
    yield from _resources(one.get("computeResources", {}))
    places = [m["mountPath"].rstrip("/") for m in one.get("volumeMounts", [])]
    taken = {w.get("mountPath", f"/workspace/{w['name']}") for w in spec.get("workspaces", [])}
    for place in places:
        if places.count(place) > 1 or place in taken:
            yield f"volumeMounts: {place} is taken"
    for place in {*places, *taken}:
        if f"{place}/".startswith("/tekton/"):
            yield f"volumeMounts: {place}: /tekton is Tekton's own"


def _volumes(spec: dict[str, Any], template: dict[str, Any]) -> Iterator[str]:
    volumes = named(spec.get("volumes"))
    containers = [template, *spec["steps"], *spec.get("sidecars", [])]
    mounted = {m["name"] for one in containers for m in one.get("volumeMounts", [])}
    for name in sorted(mounted ^ set(volumes)):
        yield f"volumes: {name} is declared or mounted, and not both"
    for name, volume in volumes.items():
        if not _LABEL.fullmatch(name) or name.startswith("tekton-internal"):
            yield f"volumes: {name} is no name for a volume"
        for kind in sorted(set(volume) - VOLUMES - {"name"}):
            yield f"volumes: {name}: {kind}: a Task brings no such volume"


def _resources(asked: dict[str, Any]) -> Iterator[str]:
    limits = asked.get("limits", {})
    for name, quantity in {**asked.get("requests", {}), **limits}.items():
        if not _QUANTITY.fullmatch(str(quantity)):
            yield f"resources: {name}: {quantity} is no quantity"
            return
    for name, quantity in asked.get("requests", {}).items():
        if name in limits and _amount(quantity) > _amount(limits[name]):
            yield f"resources: {name}: requests more than its limit"


def _amount(quantity: object) -> float:
    match = _QUANTITY.fullmatch(str(quantity))
    return float(match[1]) * _FACTORS[match[2] or ""] if match else 0.0


def _pipeline(spec: dict[str, Any]) -> Iterator[str]:
    for used in pipeline_tasks(spec):
        for problem in _pipeline_task(used):
            yield f"{used.get('name')}: {problem}"
    for used in spec.get("finally", []):
        if "onError" in used:
            yield f"{used['name']}: onError: nothing comes after finally: let its step go on"
    for result in spec.get("results", []):
        if not re.fullmatch(r"(\$\([^()]+\))+", str(result["value"])):
            yield f"results: {result['name']}: is made of results alone"


def _pipeline_task(used: dict[str, Any]) -> Iterator[str]:
    if not _LABEL.fullmatch(used.get("name", "")):
        yield "name: must be a DNS label"
    if ("taskRef" in used) == ("taskSpec" in used):
        yield "needs one of taskRef and taskSpec"
    if used.get("taskRef", {}).get("kind", "Task") != "Task":
        yield f"taskRef: there is no kind {used['taskRef']['kind']}"
    if not _ON_ERROR.fullmatch(used.get("onError", "continue")):
        yield f"onError: {used['onError']} is none of continue and stopAndFail"
    retries = used.get("retries", 0)
    if type(retries) is not int or retries < 0:
        yield f"retries: {retries} is no number of retries"
    for group in ("params", "workspaces"):
        for name in sorted(repeated(used.get(group))):
            yield f"{group}: {name} is given twice"
    yield from _below(used.get("workspaces", []))


def _below(bindings: list[dict[str, Any]]) -> Iterator[str]:
    for one in bindings:
        place = one.get("subPath", "")
        if place.startswith("/") or ".." in place.split("/"):
            yield f"workspaces: {one['name']}: subPath leads out of the volume"


def _run(spec: dict[str, Any]) -> Iterator[str]:
    if "status" in spec:
        yield "status: a run that is made has not ended"
    specs = [one["pipelineTaskName"] for one in spec.get("taskRunSpecs", [])]
    for name in sorted({name for name in specs if specs.count(name) > 1}):
        yield f"taskRunSpecs: {name} is there twice"
    for one in spec.get("workspaces", []):
        if len(SOURCES & set(one)) != 1:
            yield f"workspaces: {one['name']}: needs one volume"
        claim = one.get("volumeClaimTemplate", {}).get("spec", {})
        yield from _resources(claim.get("resources", {}))
    yield from _below(spec.get("workspaces", []))
    for one in spec.get("taskRunSpecs", []):
        for step in one.get("stepSpecs", []):
            yield from _resources(step.get("computeResources", {}))
    if re.search(r"'(runAsUser': 0\b|hostNetwork': True|privileged': True)", str(spec)):
        yield "podTemplate: the profile restricted allows neither root nor the host"
