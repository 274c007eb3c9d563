"""Each check must be able to fail: small documents with one fault each."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tasks.manifests import ROOT, Library, Manifest
from tasks.pipeline_checks import check_pipeline, check_run
from tasks.reference_checks import check_references
from tasks.task_checks import check_shape, check_task

from stepkit.errors import ConfigurationError
from stepkit.tools import documents

if TYPE_CHECKING:
    from pathlib import Path

TASK = yaml.safe_load((ROOT / "convert-notebook.yaml").read_text())

PIPELINE = yaml.safe_load("""
apiVersion: tekton.dev/v1
kind: Pipeline
metadata:
  name: two
  labels: {app.kubernetes.io/version: "0.1.0"}
  annotations: {tekton.dev/pipelines.minVersion: "1.0.0", tekton.dev/displayName: two}
spec:
  description: Convert, then list.
  params:
    - {name: image, description: Image., default: "stepkit:0.1.0"}
    - {name: names, description: Names., type: array}
  workspaces: [{name: files, description: Files.}]
  results: [{name: page, description: Page., value: $(tasks.convert.results.page)}]
  tasks:
    - name: convert
      taskRef: {name: convert-notebook}
      timeout: 30m
      params:
        - {name: image, value: $(params.image)}
        - {name: report, value: $(context.pipelineRun.name)/reports/convert.json}
      workspaces: [{name: shared, workspace: files}]
    - name: collect
      taskRef: {name: collect-artifacts}
      params:
        - {name: files, value: ["$(tasks.convert.results.page)", "$(params.names[*])"]}
      workspaces: [{name: shared, workspace: files}]
  finally:
    - name: tell
      taskRef: {name: collect-artifacts}
      params: [{name: exclude, value: ["convert=$(tasks.convert.status)"]}]
      workspaces: [{name: shared, workspace: files}]
""")

RUN = yaml.safe_load("""
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {generateName: two-}
spec:
  pipelineRef: {name: two}
  params: [{name: names, value: [a]}]
  timeouts: {pipeline: 2h0m0s, tasks: 1h30m0s, finally: 30m0s}
  workspaces: [{name: files, persistentVolumeClaim: {claimName: one}}]
  taskRunSpecs:
    - pipelineTaskName: convert
      stepSpecs: [{name: convert-notebook, computeResources: {requests: {memory: 1Gi}}}]
""")

DOCUMENTS = {"Task": TASK, "Pipeline": PIPELINE, "PipelineRun": RUN}
CHECKS = (check_references, check_shape, check_task, check_pipeline, check_run)


def at(document: Any, path: str) -> Any:
    for key in path.split("/"):
        document = document[int(key) if key.isdigit() else key]
    return document


def problems(kind: str, path: str, value: Any) -> list[str]:
    """Change the good document of this kind in one place, and return what the checks find.

    ``path`` names a mapping's key to set, or, with ``+`` at its end, a list to add to.
    """
    document = copy.deepcopy(DOCUMENTS[kind])
    where, _, key = path.rpartition("/")
    if key == "+":
        at(document, where).append(value)
    elif value is None:
        del at(document, where)[int(key) if key.isdigit() else key]
    else:
        at(document, where)[int(key) if key.isdigit() else key] = value
    collect = yaml.safe_load((ROOT / "collect-artifacts.yaml").read_text())
    known = [Manifest(ROOT / "x.yaml", one) for one in (TASK, collect, PIPELINE)]
    name = DOCUMENTS[kind]["metadata"].get("name", "run")
    manifest = Manifest(ROOT / f"{name}.yaml", document)
    return [problem for check in CHECKS for problem in check(manifest, Library(known))]


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_the_good_documents_are_good(kind: str) -> None:
    assert problems(kind, "spec/extra", "") == []


ARGS = "spec/steps/0/args/+"
BAD_TASKS = {
    "unknown param": (ARGS, "--page=$(params.pgae)", "no such param"),
    "param in computeResources": (
        "spec/steps/0/computeResources",
        {"limits": {"memory": "$(params.page)"}},
        "replaces nothing",
    ),
    "param in a step's timeout": ("spec/steps/0/timeout", "$(params.page)", "replaces nothing"),
    "param in securityContext": (
        "spec/stepTemplate/securityContext/runAsUser",
        "$(params.page)",
        "replaces nothing",
    ),
    "param in sizeLimit": (
        "spec/volumes",
        [{"name": "shm", "emptyDir": {"sizeLimit": "$(params.page)"}}],
        "replaces nothing",
    ),
    "script": ("spec/steps/0/script", "echo $(params.page)", "replaces nothing"),
    "script without a variable": ("spec/steps/0/script", "echo", "has no script"),
    "array within a text": ("spec/params/1/type", "array", "is written with [*]"),
    "string with a star": (ARGS, "$(params.page[*])", "a string has no items"),
    "unknown result": (ARGS, "--result=page=$(results.pgae.path)", "no such variable"),
    "result in a volume": (
        "spec/volumes",
        [{"name": "x", "secret": {"secretName": "$(results.page.path)"}}],
        "only steps write results",
    ),
    "unknown workspace": (ARGS, "--page=$(workspaces.cache.path)", "no such variable"),
    "pipeline's context": (ARGS, "--page=$(context.pipelineRun.name)", "nothing of its Pipeline"),
    "misspelt head": (ARGS, "--page=$(param.page)", "no such variable"),
    "empty reference": (ARGS, "--page=$()", "no such variable"),
    "unused param": (
        "spec/params/+",
        {"name": "more", "description": "More."},
        "more: nothing uses it",
    ),
    "unused workspace": (
        "spec/workspaces/+",
        {"name": "cache", "description": "Cache.", "optional": True},
        "cache: nothing uses it",
    ),
    "unwritten result": (
        "spec/results/+",
        {"name": "more", "description": "More."},
        "more: nothing writes it",
    ),
    "second data workspace": (
        "spec/workspaces/+",
        {"name": "cache", "description": "Cache."},
        "one writable data workspace",
    ),
    "flag that is none": (ARGS, "--colour=red", "no such flag"),
    "flag of another name": (ARGS, "--images=$(params.page)", "named as the flag --page"),
    "value that does not parse": (ARGS, "--hide-input=perhaps", "does not take them"),
    "output that is none": (ARGS, "--result=colour=$(results.page.path)", "no such output"),
    "result of another name": (ARGS, "--result=log=$(results.page.path)", "no name of the output"),
    "command": ("spec/steps/0/command", ["python", "-m", "stepkit", "x"], "the command must be"),
    "another step": (
        "spec/steps/0/command",
        ["python", "-P", "-m", "stepkit", "summarize"],
        "does not take them",
    ),
    "step's name": ("spec/steps/0/name", "convert", "one step, named as the Task"),
    "latest": ("spec/params/0/default", "stepkit:latest", "changes from day to day"),
    "image without a tag": ("spec/params/0/default", "stepkit", "no pinned image"),
    "fixed image": ("spec/stepTemplate/image", "stepkit:0.1.0", "is not $(params.image)"),
    "root": ("spec/stepTemplate/securityContext", {"runAsUser": 0}, "restricted"),
    "no HOME": ("spec/stepTemplate/env/0", None, "HOME is not"),
    "buffered output": ("spec/stepTemplate/env/1", None, "PYTHONUNBUFFERED"),
    "unneeded GPU": (
        "spec/steps/0/computeResources",
        {"limits": {"nvidia.com/gpu": "1"}},
        "a GPU that it does not use",
    ),
    "needed secret": (
        "spec/steps/0/env",
        [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}],
        "a secret is optional",
    ),
    "file's name": ("metadata/name", "convert", "the file is named convert-notebook"),
    "no version": ("metadata/labels", {}, "app.kubernetes.io/version"),
    "no display name": ("metadata/annotations", {}, "tekton.dev/displayName is missing"),
    "summary that goes on": ("spec/description", "Convert a\nnotebook.", "one short sentence"),
    "undescribed param": ("spec/params/1/description", "Notebook", "ends in a full stop"),
    "param twice": ("spec/params/+", TASK["spec"]["params"][1], "is there twice"),
    "elsewhere": ("spec/stepTemplate/workingDir", "/work", "workingDir"),
}


@pytest.mark.parametrize(("path", "value", "problem"), BAD_TASKS.values(), ids=BAD_TASKS.keys())
def test_a_fault_in_a_task_is_found(path: str, value: Any, problem: str) -> None:
    assert any(problem in found for found in problems("Task", path, value))


FIRST, SECOND, LAST = "spec/tasks/0", "spec/tasks/1", "spec/finally/0"
BAD_PIPELINES = {
    "unknown Task": (f"{FIRST}/taskRef/name", "convert", "there is no Task convert"),
    "unknown param": (f"{FIRST}/params/+", {"name": "x", "value": "y"}, "no such param"),
    "missing workspace": (f"{FIRST}/workspaces", [], "shared: is not bound"),
    "unknown workspace": (
        f"{FIRST}/workspaces",
        [{"name": "shared", "workspace": "cache"}],
        "has no such workspace",
    ),
    "optional workspace for a required one": (
        "spec/workspaces/0/optional",
        True,
        "may be left out",
    ),
    "string for an array": (f"{SECOND}/params/0/value", "x", "its Task takes an array"),
    "array within a text": (
        f"{SECOND}/params/0/value",
        ["x$(params.names[*])"],
        "stands alone, as one whole item",
    ),
    "param in a timeout": (f"{FIRST}/timeout", "$(params.image)", "replaces nothing"),
    "param in retries": (f"{FIRST}/retries", "$(params.image)", "replaces nothing"),
    "status outside finally": (
        f"{SECOND}/params/0/value",
        ["$(tasks.convert.status)"],
        "only tasks in finally",
    ),
    "status in a subPath": (
        f"{LAST}/workspaces/0/subPath",
        "$(tasks.convert.status)",
        "stands in params, when or matrix",
    ),
    "status of no task": (
        f"{LAST}/params/0/value",
        ["$(tasks.conver.status)"],
        "there is no such task",
    ),
    "context in when": (
        f"{FIRST}/when",
        [{"input": "$(context.pipelineRun.name)", "operator": "in", "values": ["x"]}],
        "know the run",
    ),
    "unknown result": (
        f"{SECOND}/params/0/value",
        ["$(tasks.convert.results.pgae)"],
        "no such result",
    ),
    "result of finally": (
        f"{LAST}/params/0/value",
        ["$(finally.tell.results.count)"],
        "none knows another's results",
    ),
    "circle": (f"{FIRST}/runAfter", ["collect"], "wait for each other: collect, convert"),
    "order of no task": (f"{FIRST}/runAfter", ["clone"], "none of the tasks"),
    "order in finally": (f"{LAST}/runAfter", ["collect"], "have no order"),
    "continue with retries": (
        SECOND,
        {**PIPELINE["spec"]["tasks"][1], "onError": "continue", "retries": 1},
        "no continue together with retries",
    ),
    "matrix too large": (
        f"{FIRST}/matrix",
        {"params": [{"name": n, "value": ["x"] * 20} for n in ("notebook", "page")]},
        "400 combinations",
    ),
    "matrix for an array": (
        f"{SECOND}/matrix",
        {"params": [{"name": "expect", "value": ["x"]}]},
        "a matrix gives strings",
    ),
    "matrix in a result alone": (
        f"{FIRST}/matrix",
        {"params": [{"name": "notebook", "value": ["x"]}]},
        "is written with [*]",
    ),
    "cel": (f"{FIRST}/when", [{"cel": "'x' == 'y'"}], "operator in or notin"),
    "no duration": (f"{FIRST}/timeout", "30 minutes", "no duration"),
    "unused param": ("spec/params/+", {"name": "x", "description": "X."}, "nothing uses it"),
    "result of no task": ("spec/results/0/value", "$(tasks.x.results.y)", "no such task"),
    "result of a param": ("spec/results/0/value", "$(params.image)", "the result of a task"),
    "script in it": (
        SECOND,
        {"name": "x", "taskSpec": {"steps": [{"name": "x", "script": "x", "command": ["sh"]}]}},
        "has no script",
    ),
    "GPU in it": (
        SECOND,
        {
            "name": "x",
            "taskSpec": {
                "steps": [
                    {
                        "name": "x",
                        "command": ["python", "-P", "-m", "stepkit", "summarize"],
                        "computeResources": {"limits": {"nvidia.com/gpu": "1"}},
                    }
                ]
            },
        },
        "a GPU that it does not use",
    ),
}


@pytest.mark.parametrize(
    ("path", "value", "problem"), BAD_PIPELINES.values(), ids=BAD_PIPELINES.keys()
)
def test_a_fault_in_a_pipeline_is_found(path: str, value: Any, problem: str) -> None:
    assert any(problem in found for found in problems("Pipeline", path, value))


BAD_RUNS = {
    "unknown Pipeline": ("spec/pipelineRef/name", "three", "there is no Pipeline three"),
    "unknown param": ("spec/params/+", {"name": "x", "value": "y"}, "no such param"),
    "missing param": ("spec/params", [], "names: is missing"),
    "missing workspace": ("spec/workspaces", [], "files: is not bound"),
    "unknown workspace": ("spec/workspaces/+", {"name": "x", "emptyDir": {}}, "no such workspace"),
    "no timeouts": ("spec/timeouts", {}, "the default is one hour"),
    "timeouts too long": ("spec/timeouts/finally", "31m0s", "longer than pipeline"),
    "timeout of a task": ("spec/timeouts/tasks", "20m", "shorter than that of convert"),
    "unknown task": ("spec/taskRunSpecs/0/pipelineTaskName", "x", "no such task"),
    "unknown step": ("spec/taskRunSpecs/0/stepSpecs/0/name", "x", "no such step"),
    "both ways": ("spec/taskRunSpecs/0/computeResources", {}, "has both"),
    "variable in a param": (
        "spec/params/0/value",
        ["$(context.pipelineRun.name)"],
        "replaces nothing",
    ),
}


@pytest.mark.parametrize(("path", "value", "problem"), BAD_RUNS.values(), ids=BAD_RUNS.keys())
def test_a_fault_in_a_run_is_found(path: str, value: Any, problem: str) -> None:
    assert any(problem in found for found in problems("PipelineRun", path, value))


def test_two_claims_in_one_task_are_found() -> None:
    pipeline = copy.deepcopy(PIPELINE)
    pipeline["spec"]["workspaces"].append({"name": "cache", "description": "Cache."})
    pipeline["spec"]["tasks"][0]["workspaces"].append({"name": "cache"})
    run = copy.deepcopy(RUN)
    run["spec"]["workspaces"].append(
        {"name": "cache", "persistentVolumeClaim": {"claimName": "another"}}
    )

    known = Library([Manifest(ROOT / "two.yaml", pipeline)])
    found = list(check_run(Manifest(ROOT / "run.yaml", run), known))

    assert "workspaces: convert gets more than one claim: another, one" in found


def test_a_key_that_stands_there_twice_is_found(tmp_path: Path) -> None:
    file = tmp_path / "task.yaml"
    file.write_text("kind: Task\nspec: {}\nkind: Pipeline\n")

    with pytest.raises(ConfigurationError, match="'kind' stands here twice"):
        documents.read_manifests(file)
