"""Find what keeps a PipelineRun from starting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.formats.did_you_mean import did_you_mean
from stepkit.tekton.check_admission import resource_problems
from stepkit.tekton.check_task import repeated_names
from stepkit.tekton.substitute_variables import type_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.errors import ConfigurationError
    from stepkit.tekton.objects import Pipeline
    from stepkit.tekton.yaml_documents import Node

_SOURCES: Final = {
    "persistentVolumeClaim", "volumeClaimTemplate", "emptyDir", "configMap", "secret",
    "projected", "csi",
}  # fmt: skip


def run_problems(run: Node, pipeline: Pipeline) -> Iterator[ConfigurationError]:
    """Yield what is wrong in the PipelineRun ``run`` of ``pipeline``."""
    spec = run.child("spec")
    if "status" in spec.value:
        yield spec.child("status").error("a new run has not ended")
    yield from _param_problems(spec, pipeline)
    yield from _workspace_problems(spec, pipeline)
    steps = {
        task.name: [step.name for step in task.task.steps]
        for task in (*pipeline.tasks, *pipeline.final)
    }
    seen: set[str] = set()
    for item in spec.child("taskRunSpecs").items():
        name = item.value["pipelineTaskName"]
        if name in seen:
            yield item.error(f"{name} is there twice")
        seen.add(name)
        if name not in steps:
            yield item.error(f"the Pipeline has no such task: {name}{did_you_mean(name, steps)}")
        if "computeResources" in item.value and "stepSpecs" in item.value:
            yield item.error("has both computeResources and stepSpecs")
        for step in item.child("stepSpecs").items():
            yield from resource_problems(step.child("computeResources"))
            if step.value["name"] not in steps.get(name, [step.value["name"]]):
                yield step.error(f"the Task has no such step: {step.value['name']}")


def _param_problems(spec: Node, pipeline: Pipeline) -> Iterator[ConfigurationError]:
    given = spec.child("params").items()
    yield from repeated_names(given)
    for item in given:
        name = item.value["name"]
        declared = pipeline.params.get(name)
        kind = type_of(item.child("value").param_value())
        if declared is None:
            yield item.error(f"{name}: the Pipeline has no such param")
        elif declared.type != kind:
            yield item.error(f"{name} is of type {declared.type}, and this is of type {kind}")
    names = {item.value["name"] for item in given}
    for param in pipeline.params.values():
        if param.default is None and param.name not in names:
            yield spec.child("params").error(f"{param.name}: is missing")


def _workspace_problems(spec: Node, pipeline: Pipeline) -> Iterator[ConfigurationError]:
    bound = {item.value["name"]: item for item in spec.child("workspaces").items()}
    for name, item in bound.items():
        if name not in pipeline.workspaces:
            yield item.error(f"{name}: the Pipeline has no such workspace")
        place = item.value.get("subPath", "")
        if place.startswith("/") or ".." in place.split("/"):
            yield item.error(f"{name}: {place!r} leads out of the workspace")
        if len(_SOURCES & set(item.value)) != 1:
            yield item.error(f"{name}: needs one volume")
        if "volumeClaimTemplate" in item.value:
            claim = item.child("volumeClaimTemplate").child("spec")
            yield from resource_problems(claim.child("resources"))
    for workspace in pipeline.workspaces.values():
        if workspace.name not in bound and not workspace.optional:
            yield spec.child("workspaces").error(f"{workspace.name}: is not bound")
    claims = {
        name: (item.value.get("persistentVolumeClaim") or {}).get("claimName", name)
        for name, item in bound.items()
        if {"persistentVolumeClaim", "volumeClaimTemplate"} & set(item.value)
    }
    for task in (*pipeline.tasks, *pipeline.final):
        used = {claims[b.workspace] for b in task.workspaces.values() if b.workspace in claims}
        if len(used) > 1:  # Tekton refuses it by default: the volumes may be on different nodes
            shown = ", ".join(sorted(used))
            yield spec.child("workspaces").error(f"{task.name} gets more than one claim: {shown}")
