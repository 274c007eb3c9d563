"""What ``$(...)`` may name, and in which field: Tekton replaces variables in some fields alone.

The table of fields is docs/variables.md of Tekton's pipelines 1.15, and what its admission and its
reconcilers do beyond it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tasks.manifests import Library, Manifest, named
from tasks.references import Reference, references

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONTAINER = (
    r"(name|image|imagePullPolicy|command\.\*|args\.\*|onError|workingDir|when\.\*\..*"
    r"|env\.\*\.value|env\.\*\.valueFrom\.(secretKeyRef|configMapKeyRef)\.(name|key)"
    r"|envFrom\.\*\.(prefix|secretRef\.name|configMapRef\.name)"
    r"|volumeMounts\.\*\.(name|mountPath|subPath))"
)
_VOLUME = (
    r"volumes\.\*\.(name|configMap\.name|configMap\.items\.\*\.(key|path)|secret\.secretName"
    r"|secret\.items\.\*\.(key|path)|persistentVolumeClaim\.claimName"
    r"|projected\.sources\.\*\.(configMap\.name|secret\.name|serviceAccountToken\.audience)"
    r"|csi\.nodePublishSecretRef\.name|csi\.volumeAttributes\..*)"
)
TASK_FIELDS = re.compile(
    rf"(steps\.\*|sidecars\.\*|stepTemplate)\.{_CONTAINER}|{_VOLUME}|workspaces\.\*\.mountPath"
)
STEP_ACTION_FIELDS = re.compile(_CONTAINER)
STEP_FIELDS = re.compile(r"(steps\.\*|stepTemplate)\..*")
LIST_ITEMS = re.compile(r"(steps\.\*\.|sidecars\.\*\.|stepTemplate\.|)(command|args)\.\*")

_VALUE = r"(params\.\*\.value(\..*)?|matrix\.(params|include)\..*\.value(\.\*)?|when\.\*\..*)"
PIPELINE_TASK_FIELDS = re.compile(
    rf"{_VALUE}|displayName|onError|taskRef\.name|taskRef\.params\..*|workspaces\.\*\.subPath"
)
WITH_RESULTS = re.compile(_VALUE)
WHOLE_VALUES = re.compile(
    r"params\.\*\.value(\.\*)?|matrix\.params\.\*\.value(\.\*)?|when\.\*\.values\.\*"
)
RUN_FIELDS = re.compile(
    r"workspaces\.\*\.(subPath|persistentVolumeClaim\.claimName|configMap\..*|secret\..*"
    r"|projected\..*|csi\..*)|taskRunSpecs\.\*\.podTemplate\..*"
)

_TASK_CONTEXT = {"taskRun": {"name", "namespace", "uid"}, "task": {"name"}}
_OF_A_PIPELINE = [["context", "pipelineRun"], ["context", "pipeline"], ["context", "pipelineTask"]]
_PIPELINE_CONTEXT = {
    "pipelineRun": {"name", "namespace", "uid"},
    "pipeline": {"name"},
    "pipelineTask": {"retries"},
}


def check_references(manifest: Manifest, library: Library) -> Iterator[str]:
    """Find each reference that resolves to nothing, or stands where nothing is replaced."""
    for reference in references(manifest.value.get("metadata", {})):
        yield reference.problem("Tekton replaces nothing in metadata")
    if manifest.kind == "Task":
        yield from _in_task(manifest.spec)
    elif manifest.kind == "StepAction":
        yield from _in_step_action(manifest.spec)
    elif manifest.kind == "Pipeline":
        yield from _in_pipeline(manifest.spec, library)
    elif manifest.kind in {"PipelineRun", "TaskRun"}:
        yield from _in_run(manifest.spec, library)


def _in_task(spec: dict[str, Any], inherited: dict[str, Any] | None = None) -> Iterator[str]:
    params = {**(inherited or {}), **named(spec.get("params"))}
    for reference in references(spec, skip=("params.", "results.")):
        if not TASK_FIELDS.fullmatch(reference.field):
            yield reference.problem("Tekton replaces nothing in this field")
            continue
        whole = bool(LIST_ITEMS.fullmatch(reference.field))
        yield from _task_reference(reference, spec, params, whole=whole)
    for reference in references({"params": spec.get("params", [])}):
        if reference.parts[:1] != ["params"] or reference.parts[1] not in params:
            yield reference.problem("a default names nothing but another param")
    for reference in references({"results": spec.get("results", [])}):
        if reference.parts[:1] != ["steps"] or "results" not in reference.parts:
            yield reference.problem("a result's value is the result of a step")


def _task_reference(
    reference: Reference, spec: dict[str, Any], params: dict[str, Any], *, whole: bool
) -> Iterator[str]:
    parts = reference.parts
    if parts[:1] == ["params"]:
        yield from _param(reference, params, whole=whole)
    elif parts[:1] in (["tasks"], ["finally"]) or parts[:2] in _OF_A_PIPELINE:
        yield reference.problem("a Task knows nothing of its Pipeline: pass a param")
    elif not _is_of_the_task(parts, spec):
        yield reference.problem("there is no such variable")
    elif parts[0] == "results" and not STEP_FIELDS.fullmatch(reference.field):
        yield reference.problem("only steps write results")


def _is_of_the_task(parts: list[str], spec: dict[str, Any]) -> bool:
    match parts:
        case ["results", name, "path"]:
            return name in named(spec.get("results"))
        case ["workspaces", name, "path" | "bound" | "claim" | "volume"]:
            return name in named(spec.get("workspaces"))
        case ["context", kind, name]:
            return name in _TASK_CONTEXT.get(kind, ())
        case ["steps", name, "results", _]:
            return name in named(spec["steps"])
        case ["steps", name, "exitCode", "path"]:
            return name.removeprefix("step-") in named(spec["steps"])
        case _:
            return False


def _param(reference: Reference, params: dict[str, Any], *, whole: bool) -> Iterator[str]:
    parts = reference.parts
    if len(parts) < 2 or parts[1] not in params:
        yield reference.problem("no such param is declared")
        return
    kind = params[parts[1]].get("type", "string")
    if kind == "array" and not reference.index:
        if not reference.star:
            yield reference.problem("an array is written with [*]")
        elif not reference.whole or not whole:
            yield reference.problem("an array stands alone, as one whole item of a list")
    elif kind == "object" and len(parts) > 2:
        if parts[2] not in params[parts[1]].get("properties", {}):
            yield reference.problem("the object has no such key")
    elif kind == "object" and not (reference.star and reference.whole and whole):
        yield reference.problem("an object stands alone, or one key of it is named")
    elif kind == "string" and (reference.star or reference.index or len(parts) > 2):
        yield reference.problem("a string has no items")


def _in_step_action(spec: dict[str, Any]) -> Iterator[str]:
    params, results = named(spec.get("params")), named(spec.get("results"))
    for reference in references(spec, skip=("params.", "results.")):
        if not STEP_ACTION_FIELDS.fullmatch(reference.field):
            yield reference.problem("Tekton replaces nothing in this field")
        match reference.parts:
            case ["params", *_]:
                whole = bool(LIST_ITEMS.fullmatch(reference.field))
                yield from _param(reference, params, whole=whole)
            case ["step", "results", name, "path"] if name in results:
                pass
            case ["context", kind, name] if name in _TASK_CONTEXT.get(kind, ()):
                pass
            case ["workspaces", *_]:
                yield reference.problem("a StepAction has no workspaces")
            case _:
                yield reference.problem("there is no such variable")


def _in_pipeline(spec: dict[str, Any], library: Library) -> Iterator[str]:
    params = named(spec.get("params"))
    for group in ("tasks", "finally"):
        for used in spec.get(group, []):
            outside = {key: item for key, item in used.items() if key != "taskSpec"}
            for reference in references(outside):
                for problem in _used(reference, spec, library, final=group == "finally"):
                    yield f"{used.get('name')}: {problem}"
            if "taskSpec" in used:
                for problem in _in_task(used["taskSpec"], params):
                    yield f"{used.get('name')}: taskSpec: {problem}"
    for reference in references({"params": spec.get("params", [])}):
        yield reference.problem("a Pipeline's default is replaced nowhere")
    for reference in references({"results": spec.get("results", [])}):
        if reference.parts[:1] in (["tasks"], ["finally"]):
            yield from _result(reference, spec, library)
        else:
            yield reference.problem("a Pipeline's result is the result of a task")


def _used(
    reference: Reference, spec: dict[str, Any], library: Library, *, final: bool
) -> Iterator[str]:
    field = reference.field
    if not PIPELINE_TASK_FIELDS.fullmatch(field):
        yield reference.problem("Tekton replaces nothing in this field")
        return
    match reference.parts:
        case ["params", *_]:
            whole = bool(WHOLE_VALUES.fullmatch(field))
            yield from _param(reference, named(spec.get("params")), whole=whole)
        case ["context", kind, name] if name in _PIPELINE_CONTEXT.get(kind, ()):
            if not field.startswith(("params", "matrix", "workspaces")):
                yield reference.problem("only params, matrix and subPath know the run")
        case ["workspaces", name, "bound"] if name in named(spec.get("workspaces")):
            pass
        case ["tasks", "status"] | ["tasks", _, "status" | "reason"]:
            yield from _status(reference, spec, final=final)
        case ["tasks", _, "results", *_]:
            if not WITH_RESULTS.fullmatch(field):
                yield reference.problem("a result stands in params, when or matrix")
            yield from _result(reference, spec, library)
        case ["finally", *_]:
            yield reference.problem("tasks in finally have no order: none knows another's results")
        case _:
            yield reference.problem("there is no such variable")


def _status(reference: Reference, spec: dict[str, Any], *, final: bool) -> Iterator[str]:
    names = {used["name"] for used in spec.get("tasks", [])}
    if not final:
        yield reference.problem("only tasks in finally know how others ended")
    elif not reference.field.startswith(("params", "when", "matrix")):
        yield reference.problem("a status stands in params, when or matrix")
    elif len(reference.parts) == 3 and reference.parts[1] not in names:
        yield reference.problem("there is no such task")


def _result(reference: Reference, spec: dict[str, Any], library: Library) -> Iterator[str]:
    parts = reference.parts
    group = {used["name"]: used for used in spec.get(parts[0], [])}
    if len(parts) < 4 or parts[2] != "results" or parts[1] not in group:
        yield reference.problem("there is no such task")
        return
    used = group[parts[1]]
    declared = named(library.task_of(used).get("results"))
    if parts[3] not in declared:
        yield reference.problem("its Task has no such result")
        return
    several = "matrix" in used or declared[parts[3]].get("type") == "array"
    if several and not (reference.star or reference.index):
        yield reference.problem("an array is written with [*]")
    if several and reference.star and not reference.whole:
        yield reference.problem("an array stands alone, as one whole item of a list")
    if not several and reference.star:
        yield reference.problem("a string has no items")


def _in_run(spec: dict[str, Any], library: Library) -> Iterator[str]:
    embedded = ("pipelineSpec.", "taskSpec.")
    params = named(spec.get("params"))
    for reference in references(spec, skip=embedded):
        if not RUN_FIELDS.fullmatch(reference.field):
            yield reference.problem("Tekton replaces nothing in this field")
        elif reference.parts[:1] == ["params"]:
            yield from _param(reference, params, whole=False)
        elif reference.parts[:2] not in (["context", "pipelineRun"], ["context", "taskRun"]):
            yield reference.problem("there is no such variable")
    if "pipelineSpec" in spec:
        declared = {**params, **named(spec["pipelineSpec"].get("params"))}
        yield from _in_pipeline({**spec["pipelineSpec"], "params": [*declared.values()]}, library)
    if "taskSpec" in spec:
        yield from _in_task(spec["taskSpec"], params)
