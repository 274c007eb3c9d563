"""Check what this project asks of a Task: one command, its flags by name, and safe defaults."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from tasks.manifests import Library, Manifest, named, used_names

from stepkit.cli import parser as cli_parser
from stepkit.cli import tekton_results
from stepkit.options import Also, declared
from stepkit.step import Step, kebab
from stepkit.steps import STEPS

COMMAND = ["python", "-P", "-m", "stepkit"]
WITH_GPU = {"execute-notebook", "execute-notebooks"}

# Params that are not named as their flag: users of the catalog's git-clone know these names.
FLAGS = {
    "git-clone": {
        "crtFileName": "ca-file",
        "directory": "destination",
        "subdirectory": "destination",
    },
}
# Results beside the outputs' own names: the predecessor's, and what Tekton Chains and Konflux read.
ALIASES = {
    "convert-notebook": {"nbconvert-log-path": "log", "output-html-path": "page"},
    "execute-notebook": {"TEST_OUTPUT": "test-output", "output-notebook-path": "notebook"},
    "execute-notebooks": {"TEST_OUTPUT": "test-output"},
    "git-clone": {
        "CHAINS-GIT_COMMIT": "commit",
        "CHAINS-GIT_URL": "url",
        "backup-path": "backup",
        "commit-sha": "commit",
    },
    "run-tests": {
        "TEST_OUTPUT": "test-output",
        "coverage-xml-path": "coverage-report",
        "pytest-xml-path": "junit",
        "report-html-path": "html-report",
    },
}
SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_PINNED = re.compile(r"[^\s:@]+(:\d+/[^\s:@]+)?(:[\w.-]+)?(@sha256:[0-9a-f]{64})?")
_ARG = re.compile(r"--([\w-]+)(?:=(.*))?", re.DOTALL)
_RESULT = re.compile(r"([\w-]+)=\$\(results\.([\w-]+)\.path\)")


@dataclass(frozen=True)
class Unit:
    """A Task, or the taskSpec of a Pipeline's task."""

    label: str
    spec: dict[str, Any]
    inherited: frozenset[str] = frozenset()  # params of the Pipeline around it
    inline: bool = False


def units(manifest: Manifest) -> Iterator[Unit]:
    """Yield the Task that ``manifest`` is, or those that it contains."""
    if manifest.kind == "Task":
        yield Unit(manifest.name, manifest.spec)
    pipeline = manifest.spec if manifest.kind == "Pipeline" else {}
    pipeline = manifest.spec.get("pipelineSpec", {}) if manifest.kind == "PipelineRun" else pipeline
    params = frozenset(named(pipeline.get("params")))
    for used in (*pipeline.get("tasks", []), *pipeline.get("finally", [])):
        if "taskSpec" in used:
            yield Unit(used["name"], used["taskSpec"], params, inline=True)


def check_task(manifest: Manifest, library: Library) -> Iterator[str]:  # noqa: ARG001
    """Find where a Task and the command that it calls do not agree."""
    for unit in units(manifest):
        for problem in _unit(unit):
            yield f"{unit.label}: {problem}"


def _unit(unit: Unit) -> Iterator[str]:
    for step in unit.spec["steps"]:
        command = step.get("command", [])
        if command[:-1] != COMMAND or command[-1] not in STEPS:
            yield f"the command must be {' '.join(COMMAND)} and a step, not {' '.join(command)}"
            continue
        yield from _arguments(unit, step, command[-1])
        yield from _secrets(unit, step, command[-1])
    if not unit.inline and [step["name"] for step in unit.spec["steps"]] != [unit.label]:
        yield "a Task has one step, named as the Task"
    yield from _declared_and_used(unit)
    yield from _safe(unit)
    yield from _workspaces(unit)


def _arguments(unit: Unit, step: dict[str, Any], name: str) -> Iterator[str]:
    known = {kebab(option.field.name) for option in declared(STEPS[name].Options)}
    for option in declared(STEPS[name].Options):
        spellings = [s for n in option.notes if isinstance(n, Also) for s in n.spellings]
        known |= {spelling.removeprefix("--") for spelling in spellings}
    known |= {"resume"} if hasattr(STEPS[name].Outputs, "resumable") else set()
    outputs = set(tekton_results.output_names(STEPS[name]))
    written = {}
    for flag, value in _flags(step.get("args", [])):
        if flag == "result":
            match = _RESULT.fullmatch(value)
            if not match:
                yield f"--result={value}: must be OUTPUT=$(results.NAME.path)"
                continue
            written[match[2]] = match[1]
            if match[1] not in outputs:
                yield f"--result={value}: the step has no such output"
        elif flag not in known | {"report", "no-rerun", "log-format"}:
            yield f"--{flag}: the step has no such flag"
        elif not unit.inline:
            yield from _param_names(unit.label, flag, value)
    yield from _written(unit, name, written)
    yield from _parse(unit, step, name)


def _flags(args: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each flag with its value, or with each item of a list that follows it."""
    flag = ""
    for arg in args:
        match = _ARG.fullmatch(arg)
        if match and match[2] is not None:
            yield match[1], match[2]
        elif match:
            flag = match[1]
            yield flag, ""
        else:
            yield flag, arg


def _param_names(task: str, flag: str, value: str) -> Iterator[str]:
    for param in sorted(used_names([value], "params")):
        expected = FLAGS.get(task, {}).get(param, _kebab(param))
        if expected != flag:
            yield f"--{flag}: takes the param {param}, which is named as the flag --{expected}"


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: f"-{match[1]}", name).lower()


def _written(unit: Unit, name: str, written: dict[str, str]) -> Iterator[str]:
    for result, output in written.items():
        if result != output and ALIASES.get(name, {}).get(result) != output and not unit.inline:
            yield f"results: {result}: is not a name of the output {output}"
    if not unit.inline and not {"reason", "message"} <= set(written):
        yield "results: every Task has reason and message"


def _parse(unit: Unit, step: dict[str, Any], name: str) -> Iterator[str]:
    try:
        _parser().parse_args([name, *_examples(unit, step)])
    except SystemExit:
        yield "args: the command does not take them"


@cache
def _parser() -> Any:
    return cli_parser.build_parser()


def _examples(unit: Unit, step: dict[str, Any]) -> Iterator[str]:
    """Yield the args as they are with the params' defaults, and 5 for one that has none."""
    params = {
        name: param.get("default", "5") for name, param in named(unit.spec.get("params")).items()
    }
    for arg in step.get("args", []):
        whole = re.fullmatch(r"\$\(params\.([\w-]+)\[\*\]\)", arg)
        if whole:
            value = params.get(whole[1], [])
            yield from [value] if isinstance(value, str) else value
        else:
            yield re.sub(
                r"\$\((\w+)\.([\w-]+)[^)]*\)",
                lambda m: str(params.get(m[2], "5")) if m[1] == "params" else "x",
                arg,
            )


def _secrets(unit: Unit, step: dict[str, Any], name: str) -> Iterator[str]:
    secret = {entry["name"]: entry for entry in step.get("env", []) if "valueFrom" in entry}
    for variable, entry in secret.items():
        if entry["valueFrom"].get("secretKeyRef", {}).get("optional") is not True:
            yield f"env: {variable}: a secret is optional: a public repository needs none"
    taken = _secret_variables(STEPS[name])
    if not unit.inline and set(secret) != taken:
        yield f"env: takes the secrets {sorted(secret)}, its step reads {sorted(taken)}"


def _secret_variables(step: Step) -> set[str]:
    found = (option.secret for option in declared(step.Options))
    return {secret.variable for secret in found if secret and not secret.left}


def _declared_and_used(unit: Unit) -> Iterator[str]:
    spec = unit.spec
    rest = {key: value for key, value in spec.items() if key not in {"params", "results"}}
    used = used_names(rest, "params") - unit.inherited
    defaults = used_names({"params": spec.get("params", [])}, "params")
    for name in sorted(set(named(spec.get("params"))) - used - defaults - unit.inherited):
        yield f"params: {name}: nothing uses it"
    written = used_names(rest, "results")
    for result in spec.get("results", []):
        if result["name"] not in written and "value" not in result:
            yield f"results: {result['name']}: nothing writes it"


def _safe(unit: Unit) -> Iterator[str]:
    template = unit.spec.get("stepTemplate", {})
    image = named(unit.spec.get("params")).get("image", {}).get("default", "")
    if not unit.inline and (not _PINNED.fullmatch(image) or not re.search(r"[:@]", image)):
        yield f"params: image: {image!r} is not a pinned image"
    for step in unit.spec["steps"]:
        env = {e["name"]: e.get("value") for e in (*template.get("env", []), *step.get("env", []))}
        if {**template.get("securityContext", {}), **step.get("securityContext", {})} != SECURITY:
            yield "securityContext: is not what the profile restricted asks for"
        if env.get("HOME") not in {"/tekton/home", "$(params.userHome)"}:
            yield "env: HOME is not /tekton/home, where any user can write"
        if env.get("PYTHONUNBUFFERED") != "1":
            yield "env: PYTHONUNBUFFERED is not 1"
        if step.get("image", template.get("image")) != "$(params.image)":
            yield "image: is not $(params.image)"
        yield from _gpu(unit, {**template, **step})
    for sidecar in unit.spec.get("sidecars", []):
        if sidecar.get("securityContext") != SECURITY:
            yield f"sidecars: {sidecar['name']}: is not what the profile restricted asks for"
        if "nvidia.com/" in str(sidecar):
            yield "sidecars: a sidecar asks for a GPU"


def _gpu(unit: Unit, step: dict[str, Any]) -> Iterator[str]:
    asks = "nvidia.com/" in str(step.get("computeResources", {}))
    needs = step.get("command", [""])[-1] in WITH_GPU
    if asks and not needs:
        yield "computeResources: it asks for a GPU that it does not use"
    if needs and not asks and not unit.inline:
        yield "computeResources: it asks for no GPU"


def _workspaces(unit: Unit) -> Iterator[str]:
    declared_ones = named(unit.spec.get("workspaces"))
    used = used_names(unit.spec, "workspaces")
    for step in unit.spec["steps"]:
        used |= set(named(step.get("workspaces")))
    for name in sorted(set(declared_ones) - used):
        yield f"workspaces: {name}: nothing uses it"
    data = [n for n, w in declared_ones.items() if not w.get("optional") and not w.get("readOnly")]
    if unit.inline:
        return
    if len(data) != 1:
        yield "workspaces: one writable data workspace is needed, any other is optional"
        return
    where = unit.spec.get("stepTemplate", {}).get("workingDir")
    if where != f"$(workspaces.{data[0]}.path)":
        yield f"workingDir: is not $(workspaces.{data[0]}.path)"
