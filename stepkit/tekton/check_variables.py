"""Find variables in fields in which Tekton does not replace them, and variables that do not exist.

The fields are those of docs/variables.md of Tekton Pipelines 1.15, and what its admission and its
reconcilers refuse beyond it. Which variables a Pipeline's tasks have depends on its Tasks: that
shows where both are read together.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError
from stepkit.tekton import substitute_variables
from stepkit.tekton.read_task import read_params
from stepkit.tekton.substitute_variables import Names, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stepkit.tekton.objects import Param
    from stepkit.tekton.yaml_documents import Node

Fields = list[tuple[re.Pattern[str], set[str]]]

_CONTAINER: Final = (
    r"(name|image|imagePullPolicy|command\.\*|args\.\*|onError|workingDir|when\.\*\..*"
    r"|env\.\*\.value|env\.\*\.valueFrom\.(secretKeyRef|configMapKeyRef)\.(name|key)"
    r"|envFrom\.\*\.(prefix|secretRef\.name|configMapRef\.name)"
    r"|volumeMounts\.\*\.(name|mountPath|subPath))"
)
_VOLUME: Final = (
    r"volumes\.\*\.(name|configMap\.name|configMap\.items\.\*\.(key|path)|secret\.secretName"
    r"|secret\.items\.\*\.(key|path)|persistentVolumeClaim\.claimName"
    r"|projected\.sources\.\*\.(configMap\.name|secret\.name|serviceAccountToken\.audience)"
    r"|csi\.nodePublishSecretRef\.name|csi\.volumeAttributes\..*)"
)
_PIPELINE_VALUE: Final = (
    r"(tasks|finally)\.\*\.(params\.\*\.value(\..*)?"
    r"|matrix\.(params|include)\..*\.value(\.\*)?|when\.\*\..*)"
)
_WHOLE_VALUES: Final = re.compile(  # of which one item may be a whole array
    rf"((steps\.\*|sidecars\.\*|stepTemplate)\.)?(command|args)\.\*|{_PIPELINE_VALUE}"
)
_REFERENCE: Final = re.compile(r"\$\(([^()]*)\)")

# A field of a spec, with * for the index of a list, and the variables that Tekton replaces in it.
_IN_TASK: Final[Fields] = [
    (re.compile(rf"(steps\.\*|stepTemplate)\.{_CONTAINER}"), {"results"}),
    (
        re.compile(
            rf"(steps\.\*|sidecars\.\*|stepTemplate)\.{_CONTAINER}|{_VOLUME}"
            r"|workspaces\.\*\.mountPath"
        ),
        {"params", "workspaces", "context", "steps"},
    ),
    (re.compile(r"params\.\*\.default(\..*)?"), {"params"}),
    (re.compile(r"results\.\*\.value(\..*)?"), {"steps"}),
]
_IN_STEP_ACTION: Final[Fields] = [
    (re.compile(_CONTAINER), {"params", "context", "step"}),
    (re.compile(r"(params|results)\..*"), {"params"}),
]
_IN_PIPELINE: Final[Fields] = [
    (re.compile(_PIPELINE_VALUE), {"params", "workspaces", "tasks"}),
    (re.compile(r"(tasks|finally)\.\*\.(params|matrix|workspaces)\..*"), {"context"}),
    (
        re.compile(
            r"(tasks|finally)\.\*\.(displayName|onError|taskRef\.(name|params\..*)"
            r"|workspaces\.\*\.subPath)"
        ),
        {"params", "workspaces"},
    ),
    (re.compile(r"results\.\*\.value(\..*)?"), {"tasks", "finally"}),
]
_IN_RUN: Final[Fields] = [
    (
        re.compile(
            r"workspaces\.\*\.(subPath|persistentVolumeClaim\.claimName|configMap\..*|secret\..*"
            r"|projected\..*|csi\..*)|taskRunSpecs\.\*\.podTemplate\..*"
        ),
        {"params", "context"},
    ),
]


def variable_problems(document: Node) -> Iterator[ConfigurationError]:
    """Yield each variable of a Task, StepAction, Pipeline or run that Tekton does not replace."""
    kind, spec = document.value["kind"], document.child("spec")
    yield from _problems(document.child("metadata"), [], Names())
    if kind == "Task":
        yield from _problems(spec, _IN_TASK, _task_scope(spec, {}))
    elif kind == "StepAction":
        results = [item.value["name"] for item in spec.child("results").items()]
        paths = {name: _unknown(f"step.results.{name}", "path") for name in results}
        step = Names(results=Names(paths))
        params = _unknown_params(read_params(spec))
        yield from _problems(
            spec, _IN_STEP_ACTION, Names(params=params, step=step, context=_TASK_CONTEXT)
        )
    elif kind == "Pipeline":
        workspaces = [item.value["name"] for item in spec.child("workspaces").items()]
        bound = {name: _unknown(f"workspaces.{name}", "bound") for name in workspaces}
        params = _unknown_params(read_params(spec))
        yield from _problems(
            spec, _IN_PIPELINE, Names(params=params, workspaces=Names(bound), context=_RUN_CONTEXT)
        )
        for task in (*spec.child("tasks").items(), *spec.child("finally").items()):
            if embedded := task.get("taskSpec"):
                scope = _task_scope(embedded, read_params(spec))
                yield from _problems(embedded, _IN_TASK, scope)
    elif kind == "PipelineRun":
        params = Names()
        for item in spec.child("params").items():
            name, value = item.value["name"], item.child("value").param_value()
            params[name] = Unknown(f"params.{name}", substitute_variables.type_of(value))
        scope = Names(params=params, context=_RUN_CONTEXT)
        yield from _problems(spec, _IN_RUN, scope)


def _problems(base: Node, fields: Fields, scope: Names) -> Iterator[ConfigurationError]:
    """Yield the problems below ``base``; what is not in ``scope`` at all may have any name."""
    for node in base.texts():
        field = re.sub(r"\[\d+\]", ".*", node.path.removeprefix(base.path).removeprefix("."))
        if field.endswith("description") or re.search(r"(^|\.)(taskSpec|pipelineSpec)\.", field):
            continue
        allowed = {head for pattern, some in fields if pattern.fullmatch(field) for head in some}
        wrong = False
        heads = set()
        for match in _REFERENCE.finditer(node.value):
            heads.add(head := re.split(r"[.\[]", match[1])[0])
            if allowed and not substitute_variables.REFERENCE.fullmatch(match[0]):
                problem = f"there is no variable {match[0]}"
            elif head not in allowed:
                what = f"no {head}" if allowed else "nothing"
                problem = f"{match[0]}: Tekton replaces {what} in this field"
            else:
                continue
            wrong = True
            yield node.error(problem)
        if wrong or not heads <= scope.keys():
            continue
        replace = (
            substitute_variables.value
            if _WHOLE_VALUES.fullmatch(field)
            else substitute_variables.text
        )
        try:
            replace(node, scope)
        except ConfigurationError as error:
            yield error


def _unknown_params(declared: Mapping[str, Param]) -> Names:
    found: dict[str, Any] = {}
    for name, param in declared.items():
        found[name] = Unknown(f"params.{name}", param.type)
        if param.type == "object":
            found[name] = {key: Unknown(f"params.{name}.{key}") for key in param.keys}
    return Names(found)


def _unknown(prefix: str, *names: str) -> Names:
    return Names({name: Unknown(f"{prefix}.{name}") for name in names})


def _task_scope(spec: Node, inherited: Mapping[str, Param]) -> Names:
    """Return the variables of a Task, of which no value is known."""
    steps = Names()
    for step in spec.child("steps").items():
        name = step.value.get("name", "")
        steps[name] = Names(results=Unknown(f"steps.{name}.results", "object"))
        steps[f"step-{name}"] = Names(exitCode=_unknown(f"steps.step-{name}.exitCode", "path"))
    paths = ("path", "bound", "claim", "volume")
    workspaces = [item.value["name"] for item in spec.child("workspaces").items()]
    results = [item.value["name"] for item in spec.child("results").items()]
    return Names(
        params=_unknown_params({**inherited, **read_params(spec)}),
        workspaces=Names({name: _unknown(f"workspaces.{name}", *paths) for name in workspaces}),
        results=Names({name: _unknown(f"results.{name}", "path") for name in results}),
        steps=steps,
        context=_TASK_CONTEXT,
    )


_RUN_CONTEXT: Final = Names(
    pipelineRun=_unknown("context.pipelineRun", "name", "namespace", "uid"),
    pipeline=_unknown("context.pipeline", "name"),
    pipelineTask=_unknown("context.pipelineTask", "retries"),
)
_TASK_CONTEXT: Final = Names(
    taskRun=_unknown("context.taskRun", "name", "namespace", "uid"),
    task=_unknown("context.task", "name"),
)
