"""Check what this project asks of a Pipeline and a PipelineRun, beyond what Tekton asks."""

import re
from collections.abc import Iterator
from typing import Any

from tasks.manifests import Library, Manifest, named, pipeline_tasks, used_names
from tasks.task_checks import WITH_GPU

from stepkit.formats import durations


def check_pipeline(manifest: Manifest, library: Library) -> Iterator[str]:  # noqa: ARG001
    """Find params and workspaces that no task uses."""
    if manifest.kind != "Pipeline":
        return
    spec = manifest.spec
    rest = {key: spec.get(key, []) for key in ("tasks", "finally")}
    for name in sorted(set(named(spec.get("params"))) - used_names(rest, "params")):
        yield f"params: {name}: nothing uses it"
    bindings = [b for used in pipeline_tasks(spec) for b in used.get("workspaces", [])]
    bound = {binding.get("workspace", binding["name"]) for binding in bindings}
    for name in sorted(set(named(spec.get("workspaces"))) - bound):
        yield f"workspaces: {name}: nothing uses it"


def check_run(manifest: Manifest, library: Library) -> Iterator[str]:
    """Find time limits that do not fit, pods that are not restricted, and unused GPUs."""
    if manifest.kind != "PipelineRun":
        return
    spec = manifest.spec
    name = spec.get("pipelineRef", {}).get("name")
    pipeline = spec.get("pipelineSpec") or library.pipelines.get(name, {})
    yield from _timeouts(spec.get("timeouts", {}), pipeline)
    if re.search(r"'(runAsUser': 0\b|hostNetwork': True|privileged': True)", str(spec)):
        yield "podTemplate: the profile restricted allows neither root nor the host"
    for one in spec.get("taskRunSpecs", []):
        used = named(pipeline_tasks(pipeline)).get(one["pipelineTaskName"], {})
        steps = named(library.task_of(used).get("steps"))
        for step in one.get("stepSpecs", []):
            for problem in _gpus(step.get("computeResources", {}), steps.get(step["name"], {})):
                yield f"{one['pipelineTaskName']}: stepSpecs: {step['name']}: {problem}"


def _timeouts(timeouts: dict[str, str], pipeline: dict[str, Any]) -> Iterator[str]:
    if set(timeouts) != {"pipeline", "tasks", "finally"}:
        yield "timeouts: pipeline, tasks and finally are needed: the default is one hour for all"
        return
    limits = {name: durations.parse(text) for name, text in timeouts.items()}
    if limits["tasks"] + limits["finally"] > limits["pipeline"]:
        yield "timeouts: tasks and finally together take longer than pipeline"
    for group in ("tasks", "finally"):
        for used in pipeline.get(group, []):
            if durations.parse(used.get("timeout", "0")) > limits[group]:
                yield f"timeouts: {group}: is shorter than that of {used['name']} alone"


def _gpus(asked: dict[str, Any], step: dict[str, Any]) -> Iterator[str]:
    """Find GPUs that nothing uses: Tekton adds these limits to those of the Task."""
    own = step.get("computeResources", {}).get("limits", {})
    limits = {**own, **asked.get("limits", {})}
    gpus = [key for key, count in limits.items() if key.startswith("nvidia.com/") and count != "0"]
    if len(gpus) > 1:
        yield f"asks for {' and '.join(sorted(gpus))}: set the Task's own to 0"
    if gpus and step.get("command", [""])[-1] not in WITH_GPU | {"check-environment"}:
        yield "asks for a GPU that it does not use"
    if any(key.startswith("nvidia.com/") for key in asked.get("requests", {})):
        yield "a GPU stands in limits: its request is the same"
