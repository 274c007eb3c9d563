"""Each check of a Task can fail: a small Task with one fault each."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from tasks.good_documents import DOCUMENTS, TASK, problems
from tasks.manifests import ROOT, Library, Manifest
from tasks.task_checks import check_task
from tasks.tekton_checks import check_tekton

from stepkit.errors import ConfigurationError
from stepkit.formats import yaml_files


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_the_good_documents_are_good(kind: str) -> None:
    assert problems(kind, "apiVersion", "tekton.dev/v1") == []


ARGS = "spec/steps/0/args/+"
BAD_TASKS = {
    "unknown param": (ARGS, "--page=$(params.pgae)", "there is no variable $(params.pgae)"),
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
    "param in an annotation": (
        "metadata/annotations/x",
        "$(params.page)",
        "metadata.annotations.x: $(params.page): Tekton replaces nothing",
    ),
    "param in the displayName": ("spec/displayName", "$(params.page)", "replaces nothing"),
    "param in sizeLimit": (
        "spec/volumes",
        [{"name": "shm", "emptyDir": {"sizeLimit": "$(params.page)"}}],
        "replaces nothing",
    ),
    "script": ("spec/steps/0/script", "echo $(params.page)", "replaces nothing"),
    "script without a variable": ("spec/steps/0/script", "echo", "has no script"),
    "array within a text": (
        "spec/params/1/type",
        "array",
        "is an array and does not fit into a string",
    ),
    "string with a star": (ARGS, "$(params.page[*])", "is a string: write it without [*]"),
    "unknown result": (
        ARGS,
        "--result=page=$(results.pgae.path)",
        "there is no variable $(results.pgae.path)",
    ),
    "result in a volume": (
        "spec/volumes",
        [{"name": "x", "secret": {"secretName": "$(results.page.path)"}}],
        "Tekton replaces no results in this field",
    ),
    "unknown workspace": (
        ARGS,
        "--page=$(workspaces.cache.path)",
        "there is no variable $(workspaces.cache.path)",
    ),
    "pipeline's context": (
        ARGS,
        "--page=$(context.pipelineRun.name)",
        "there is no variable $(context.pipelineRun.name)",
    ),
    "default of another kind": (
        "spec/params/1/default",
        "$(context.taskRun.name)",
        "Tekton replaces no context in this field",
    ),
    "result of a param": (
        "spec/results/0/value",
        "$(params.page)",
        "results[0].value: $(params.page): Tekton replaces no params",
    ),
    "object within a text": (
        "spec/params/1/type",
        "object",
        "is an object and does not fit into a string",
    ),
    "misspelt head": (ARGS, "--page=$(param.page)", "there is no variable $(param.page)"),
    "empty reference": (ARGS, "--page=$()", "there is no variable $()"),
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
    "result of another name": (
        ARGS,
        "--result=log=$(results.page.path)",
        "not a name of the output",
    ),
    "command": ("spec/steps/0/command", ["python", "-m", "stepkit", "x"], "the command must be"),
    "another step": (
        "spec/steps/0/command",
        ["python", "-P", "-m", "stepkit", "summarize"],
        "does not take them",
    ),
    "step's name": ("spec/steps/0/name", "convert", "one step, named as the Task"),
    "latest": ("spec/params/0/default", "stepkit:latest", "changes from day to day"),
    "image without a tag": ("spec/params/0/default", "stepkit", "not a pinned image"),
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
    "no reason": (
        "spec/steps/0/args",
        TASK["spec"]["steps"][0]["args"][-1:],
        "every Task has reason and message",
    ),
    "number for a text": ("spec/params/1/default", 5, "put it in quotes"),
    "boolean for a text": ("spec/stepTemplate/env/1/value", True, "put it in quotes"),
    "variable twice": (
        "spec/steps/0/env",
        [{"name": "X", "value": "1"}, {"name": "X", "value": "2"}],
        "the name 'X' is used twice",
    ),
    "result elsewhere": (ARGS, "--result=page=/tmp/page", "must be OUTPUT=$(results.NAME.path)"),
    "secret that the step does not read": (
        "spec/steps/0/env",
        [
            {
                "name": "X",
                "valueFrom": {"secretKeyRef": {"name": "x", "key": "y", "optional": True}},
            }
        ],
        "takes the secrets ['X'], its step reads []",
    ),
    "GPU of a sidecar": (
        "spec/sidecars",
        [{"name": "x", "computeResources": {"limits": {"nvidia.com/gpu": "1"}}}],
        "a sidecar asks for a GPU",
    ),
    "param twice": (
        "spec/params/+",
        TASK["spec"]["params"][1],
        "the name 'notebook' is used twice",
    ),
    "elsewhere": ("spec/stepTemplate/workingDir", "/work", "workingDir"),
}


@pytest.mark.parametrize(("path", "value", "problem"), BAD_TASKS.values(), ids=BAD_TASKS.keys())
def test_a_fault_in_a_task_is_found(path: str, value: Any, problem: str) -> None:
    assert any(problem in found for found in problems("Task", path, value))


def test_a_task_that_runs_notebooks_without_a_gpu_is_found() -> None:
    task = yaml.safe_load((ROOT / "execute-notebook.yaml").read_text())
    manifest = Manifest(ROOT / "execute-notebook.yaml", task)
    assert list(check_task(manifest, Library([]))) == []

    del task["spec"]["steps"][0]["computeResources"]

    (found,) = check_task(manifest, Library([]))
    assert "it asks for no GPU" in found


OBJECT = {
    "name": "page",
    "type": "object",
    "description": "Page.",
    "properties": {"path": {"type": "string"}},
    "default": {"path": "x"},
}


@pytest.mark.parametrize(
    ("arg", "expected"),
    [
        ("--page=$(params.page.path)", []),
        ("--page=$(params.page.paht)", ["did you mean path?"]),
    ],
)
def test_a_key_of_an_object_must_exist(arg: str, expected: list[str]) -> None:
    task = copy.deepcopy(TASK)
    params, args = task["spec"]["params"], task["spec"]["steps"][0]["args"]
    params[2] = OBJECT
    args[1] = arg

    found = list(check_tekton(Manifest(ROOT / "x.yaml", task), Library([])))

    assert [one.rpartition(": ")[2] for one in found] == expected


def test_a_key_that_is_there_twice_is_found(tmp_path: Path) -> None:
    file = tmp_path / "task.yaml"
    file.write_text("kind: Task\nspec: {}\nkind: Pipeline\n")

    with pytest.raises(ConfigurationError, match="'kind' is given twice"):
        yaml_files.read_manifests(file)
