"""What a Pipeline and a PipelineRun have to be, so that Tekton takes them and can run them."""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING, Any

from tasks.manifests import Library, Manifest, named, pipeline_tasks, repeated, seconds
from tasks.references import needed_tasks, references, used_names
from tasks.task_checks import WITH_GPU

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_COMBINATIONS = 256  # Tekton's default-max-matrix-combinations-count
_WHOLE = re.compile(r"\$\((params\.[\w-]+|tasks\.[\w-]+\.results\.[\w-]+)\[\*\]\)")
_DURATION = re.compile(r"0|(\d+(\.\d+)?(ms|h|m|s))+")


def check_pipeline(manifest: Manifest, library: Library) -> Iterator[str]:
    """Find what keeps a Pipeline from running, or from running as it reads."""
    if manifest.kind == "Pipeline":
        yield from _pipeline(manifest.spec, library)
    elif manifest.kind == "PipelineRun" and "pipelineSpec" in manifest.spec:
        yield from _pipeline(manifest.spec["pipelineSpec"], library)


def _pipeline(spec: dict[str, Any], library: Library) -> Iterator[str]:
    for name in repeated(pipeline_tasks(spec)):
        yield f"{name}: two tasks have this name"
    for used in pipeline_tasks(spec):
        for problem in _task(used, spec, library):
            yield f"{used.get('name')}: {problem}"
    for used in spec.get("finally", []):
        if "runAfter" in used:
            yield f"{used['name']}: runAfter: tasks in finally have no order"
    yield from _order(spec)
    rest = {key: spec.get(key, []) for key in ("tasks", "finally")}
    for name in sorted(set(named(spec.get("params"))) - used_names(rest, "params")):
        yield f"params: {name}: nothing uses it"
    bound = {b.get("workspace", b["name"]) for u in pipeline_tasks(spec) for b in _bindings(u)}
    for name in sorted(set(named(spec.get("workspaces"))) - bound):
        yield f"workspaces: {name}: nothing uses it"
    yield from _collected(spec)


def _bindings(used: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = used.get("workspaces", [])
    return found


def _task(used: dict[str, Any], spec: dict[str, Any], library: Library) -> Iterator[str]:
    task = library.task_of(used)
    if not task:
        yield f"there is no Task {used.get('taskRef', {}).get('name')}"
        return
    yield from _params(used, task, spec)
    yield from _bound(_bindings(used), task, spec)
    if used.get("onError") == "continue" and used.get("retries"):
        yield "onError: Tekton takes no continue together with retries"
    for when in used.get("when", []):
        if when.get("operator") not in {"in", "notin"} or not when.get("values"):
            yield "when: needs input, operator in or notin, and values"
    if not _DURATION.fullmatch(used.get("timeout", "0")):
        yield f"timeout: {used['timeout']} is no duration"
    lists = [p["value"] for p in used.get("matrix", {}).get("params", [])]
    count = prod(len(v) for v in lists if isinstance(v, list))
    if count + len(used.get("matrix", {}).get("include", [])) > MOST_COMBINATIONS:
        yield f"matrix: {count} combinations, Tekton takes {MOST_COMBINATIONS}"


def _params(used: dict[str, Any], task: dict[str, Any], spec: dict[str, Any]) -> Iterator[str]:
    known = named(task.get("params"))
    matrix = used.get("matrix", {})
    several = [
        *matrix.get("params", []),
        *(p for i in matrix.get("include", []) for p in i["params"]),
    ]
    passed = named(used.get("params"))
    inherited = set(named(spec.get("params"))) if "taskSpec" in used else set()
    for name in sorted({*passed, *named(several)} - set(known) - inherited):
        yield f"params: {name}: its Task has no such param"
    for name in sorted(set(passed) & set(named(several))):
        yield f"params: {name}: is given by params and by matrix"
    needed = {name for name, param in known.items() if "default" not in param}
    for name in sorted(needed - set(passed) - set(named(several)) - inherited):
        yield f"params: {name}: is missing"
    for name, param in passed.items():
        kind = known.get(name, {}).get("type", "string")
        if name in known and _is_array(param["value"]) != (kind == "array"):
            yield f"params: {name}: its Task takes {'an' if kind != 'string' else 'a'} {kind}"
    for name in named(several):
        if known.get(name, {}).get("type", "string") != "string":
            yield f"matrix: {name}: a matrix gives strings, its Task takes something else"
    for entry in matrix.get("params", []):
        if not _is_array(entry["value"]):
            yield f"matrix: {entry['name']}: must be a list"


def _is_array(value: Any) -> bool:
    return isinstance(value, list) or (isinstance(value, str) and bool(_WHOLE.fullmatch(value)))


def _bound(
    bindings: list[dict[str, Any]], task: dict[str, Any], spec: dict[str, Any]
) -> Iterator[str]:
    wanted, given = named(task.get("workspaces")), named(spec.get("workspaces"))
    bound = named(bindings)
    for name in sorted(set(bound) - set(wanted)):
        yield f"workspaces: {name}: its Task has no such workspace"
    for name, workspace in wanted.items():
        if name not in bound:
            if not workspace.get("optional"):
                yield f"workspaces: {name}: is not bound"
            continue
        source = given.get(bound[name].get("workspace", name))
        if source is None:
            yield f"workspaces: {name}: the Pipeline has no such workspace"
        elif source.get("optional") and not workspace.get("optional"):
            yield f"workspaces: {name}: may be left out of the run, and the Task needs it"


def _order(spec: dict[str, Any]) -> Iterator[str]:
    tasks = named(spec.get("tasks"))
    waiting = {name: needed_tasks(used, spec) for name, used in tasks.items()}
    for name, needed in waiting.items():
        for other in sorted(needed - set(tasks)):
            yield f"{name}: waits for {other}, which is none of the tasks"
    done: set[str] = set()
    while ready := {
        n for n, needed in waiting.items() if n not in done and needed & set(tasks) <= done
    }:
        done |= ready
    if left := sorted(set(waiting) - done):
        yield f"these tasks wait for each other: {', '.join(left)}"


def _collected(spec: dict[str, Any]) -> Iterator[str]:
    """Find what makes Tekton 1.15 fail a good run: CouldntGetPipelineResult."""
    matrices = {used["name"] for used in pipeline_tasks(spec) if "matrix" in used}
    asked = {tuple(r.parts[:4]) for u in pipeline_tasks(spec) for r in references(u)}
    for reference in references({"results": spec.get("results", [])}):
        parts = tuple(reference.parts[:4])
        if parts[:1] == ("tasks",) and parts[1] in matrices and parts not in asked:
            yield reference.problem("of a matrix: Tekton finds it only if a task uses it too")


def check_run(manifest: Manifest, library: Library) -> Iterator[str]:
    """Find what keeps a PipelineRun from starting."""
    if manifest.kind != "PipelineRun":
        return
    spec = manifest.spec
    name = spec.get("pipelineRef", {}).get("name")
    pipeline = spec.get("pipelineSpec") or library.pipelines.get(name, {})
    if not pipeline:
        yield f"there is no Pipeline {name}"
        return
    yield from _params({"params": spec.get("params", [])}, pipeline, {})
    yield from _timeouts(spec.get("timeouts", {}), pipeline)
    wanted = named(pipeline.get("workspaces"))
    bound = named(spec.get("workspaces"))
    for name in sorted(set(bound) - set(wanted)):
        yield f"workspaces: {name}: the Pipeline has no such workspace"
    for name, workspace in wanted.items():
        if name not in bound and not workspace.get("optional"):
            yield f"workspaces: {name}: is not bound"
    yield from _claims(bound, pipeline)
    for one in spec.get("taskRunSpecs", []):
        for problem in _task_run_spec(one, pipeline, library):
            yield f"taskRunSpecs: {one['pipelineTaskName']}: {problem}"


def _timeouts(timeouts: dict[str, str], pipeline: dict[str, Any]) -> Iterator[str]:
    if set(timeouts) != {"pipeline", "tasks", "finally"}:
        yield "timeouts: pipeline, tasks and finally are needed: the default is one hour for all"
        return
    limits = {name: seconds(text) for name, text in timeouts.items()}
    if limits["tasks"] + limits["finally"] > limits["pipeline"]:
        yield "timeouts: tasks and finally together take longer than pipeline"
    for group in ("tasks", "finally"):
        for used in pipeline.get(group, []):
            if seconds(used.get("timeout", "0")) > limits[group]:
                yield f"timeouts: {group}: is shorter than that of {used['name']} alone"


def _claims(bound: dict[str, dict[str, Any]], pipeline: dict[str, Any]) -> Iterator[str]:
    """Find tasks that Tekton refuses by default: more than one claim is bound."""
    for used in pipeline_tasks(pipeline):
        sources = [bound.get(b.get("workspace", b["name"]), {}) for b in _bindings(used)]
        claims = {
            str(source.get("persistentVolumeClaim", {}).get("claimName") or source["name"])
            for source in sources
            if "persistentVolumeClaim" in source or "volumeClaimTemplate" in source
        }
        if len(claims) > 1:
            shown = ", ".join(sorted(claims))
            yield f"workspaces: {used['name']} gets more than one claim: {shown}"


def _task_run_spec(
    one: dict[str, Any], pipeline: dict[str, Any], library: Library
) -> Iterator[str]:
    used = named(pipeline_tasks(pipeline)).get(one["pipelineTaskName"])
    if used is None:
        yield "the Pipeline has no such task"
        return
    if "computeResources" in one and "stepSpecs" in one:
        yield "has both computeResources and stepSpecs"
    steps = named(library.task_of(used).get("steps"))
    for name, spec in named(one.get("stepSpecs")).items():
        if name not in steps:
            yield f"stepSpecs: {name}: the Task has no such step"
            continue
        problems = _gpus(spec.get("computeResources", {}), steps[name])
        yield from (f"stepSpecs: {name}: {problem}" for problem in problems)


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
