"""Each check of what a cluster refuses can fail: documents with one fault each."""

from typing import Any

import pytest
from tasks.good_documents import TASK, problems

STEP, FIRST, LAST = "spec/steps/0", "spec/tasks/0", "spec/finally/0"
SHM = {"name": "shm", "emptyDir": {}}
SIDECAR = {"name": "s", "image": "s:1", "command": ["s"]}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5 GB"}}}


def with_volume(volume: dict[str, Any], *mounts: str) -> dict[str, Any]:
    """Return the spec of the good Task with a volume, mounted in each of these places."""
    mounted = [{"name": volume["name"], "mountPath": place} for place in mounts]
    step = {**TASK["spec"]["steps"][0], "volumeMounts": mounted}
    return {**TASK["spec"], "volumes": [volume], "steps": [step]}


TASKS = {
    "no name": ("metadata/name", "", "'' is not a valid name"),
    "no version": (
        "metadata/annotations",
        {"tekton.dev/pipelines.minVersion": "1.0"},
        "1.0 is not a version",
    ),
    "enum": ("spec/params/0/enum", ["a"], "enum needs an alpha flag"),
    "default of another type": (
        "spec/params/+",
        {"name": "x", "type": "array", "default": "a", "description": "X."},
        "its default is not of type array",
    ),
    "output of a step": (f"{STEP}/stdoutConfig", {"path": "/x"}, "stdoutConfig: needs an alpha"),
    "StepAction with a command": (
        f"{STEP}/ref",
        {"name": "x"},
        "has none of the StepAction's fields",
    ),
    "workspace of a step": (f"{STEP}/workspaces", [{"name": "x"}], "there is no workspace 'x'"),
    "sidecar of root": ("spec/sidecars", [SIDECAR], "sidecars: s: is not what"),
    "name of a variable": (f"{STEP}/env", [{"name": "A B", "value": "1"}], "A B is not the name"),
    "two sources": (f"{STEP}/env", [{"name": "A", "value": "", "valueFrom": {}}], "has both"),
    "no quantity": (
        f"{STEP}/computeResources",
        {"limits": {"memory": "4 GB"}},
        "memory: '4 GB' is not a quantity",
    ),
    "more than the limit": (
        f"{STEP}/computeResources",
        {"limits": {"memory": "1Gi"}, "requests": {"memory": "1100Mi"}},
        "requests more than its limit",
    ),
    "mount of no volume": (
        f"{STEP}/volumeMounts",
        [{"name": "x", "mountPath": "/x"}],
        "there is no volume 'x'",
    ),
    "volume without mount": ("spec/volumes", [SHM], "the volume shm is not mounted"),
    "two mounts in one place": ("spec", with_volume(SHM, "/x", "/x/"), "/x is taken"),
    "mount over a workspace": ("spec", with_volume(SHM, "/workspace/shared"), "shared is taken"),
    "mount over Tekton": ("spec", with_volume(SHM, "/tekton/home"), "is Tekton's own"),
    "workspace over Tekton": ("spec/workspaces/0/mountPath", "/tekton/x", "is Tekton's own"),
    "name of a volume": (
        "spec",
        with_volume({**SHM, "name": "A_b"}, "/x"),
        "'A_b' is not a valid name",
    ),
    "Tekton's volume": (
        "spec",
        with_volume({**SHM, "name": "tekton-internal-home"}, "/x"),
        "is not a valid name for a volume",
    ),
    "path of the host": (
        "spec",
        with_volume({"name": "x", "hostPath": {"path": "/"}}, "/x"),
        "hostPath: a Task brings no such volume",
    ),
    "claim": (
        "spec",
        with_volume({"name": "x", "persistentVolumeClaim": {"claimName": "x"}}, "/x"),
        "persistentVolumeClaim: a Task brings no such volume",
    ),
}
PIPELINES = {
    "name": (f"{FIRST}/name", "Convert", "'Convert' is not a valid name"),
    "both Task and spec": (
        f"{FIRST}/taskSpec",
        {"steps": []},
        "needs either a taskRef or a taskSpec",
    ),
    "neither": (f"{FIRST}/taskRef", None, "needs either a taskRef or a taskSpec"),
    "ClusterTask": (f"{FIRST}/taskRef/kind", "ClusterTask", "there is no kind ClusterTask"),
    "onError": (f"{FIRST}/onError", "ignore", "is none of continue, stopAndFail"),
    "onError in finally": (f"{LAST}/onError", "continue", "no task comes after finally"),
    "retries below none": (f"{FIRST}/retries", -1, "must be a whole number, 0 or more"),
    "retries as text": (f"{FIRST}/retries", "1", "must be a whole number, 0 or more"),
    "param twice": (
        f"{FIRST}/params/+",
        {"name": "image", "value": "x"},
        "the name 'image' is used twice",
    ),
    "workspace twice": (
        f"{FIRST}/workspaces/+",
        {"name": "shared", "workspace": "files"},
        "the name 'shared' is used twice",
    ),
    "subPath from the root": (f"{FIRST}/workspaces/0/subPath", "/x", "leads out of the workspace"),
    "subPath upwards": (f"{FIRST}/workspaces/0/subPath", "a/../../x", "leads out of the workspace"),
    "result of text": ("spec/results/0/value", "page", "must consist of results of tasks"),
    "host of a task in it": (
        FIRST,
        {"name": "convert", "taskSpec": with_volume({"name": "x", "hostPath": {}}, "/x")},
        "hostPath: a Task brings no such volume",
    ),
}
RUNS = {
    "no name": ("metadata", {}, "needs name or generateName"),
    "cancelled": ("spec/status", "Cancelled", "has not ended"),
    "task twice": (
        "spec/taskRunSpecs/+",
        {"pipelineTaskName": "convert"},
        "taskRunSpecs[1]: convert is there twice",
    ),
    "no volume": ("spec/workspaces/0/persistentVolumeClaim", None, "needs one volume"),
    "two volumes": ("spec/workspaces/0/emptyDir", {}, "needs one volume"),
    "no quantity": (
        "spec/workspaces/0",
        {"name": "files", "volumeClaimTemplate": {"spec": CLAIM}},
        "storage: 5 GB is not a quantity",
    ),
    "subPath": ("spec/workspaces/0/subPath", "../x", "leads out of the workspace"),
    "quantity of a step": (
        "spec/taskRunSpecs/0/stepSpecs/0/computeResources",
        {"requests": {"memory": "1GiB"}},
        "memory: 1GiB is not a quantity",
    ),
    "root": (
        "spec/taskRunTemplate",
        {"podTemplate": {"securityContext": {"runAsUser": 0}}},
        "neither root nor the host",
    ),
    "network of the host": (
        "spec/taskRunTemplate",
        {"podTemplate": {"hostNetwork": True}},
        "neither root nor the host",
    ),
}
KINDS: dict[str, dict[str, tuple[str, Any, str]]] = {
    "Task": TASKS,
    "Pipeline": PIPELINES,
    "PipelineRun": RUNS,
}


@pytest.mark.parametrize(
    ("kind", "path", "value", "problem"),
    [
        pytest.param(kind, *fault, id=f"{kind}: {name}")
        for kind, faults in KINDS.items()
        for name, fault in faults.items()
    ],
)
def test_what_a_cluster_refuses_is_found(kind: str, path: str, value: Any, problem: str) -> None:
    assert any(problem in found for found in problems(kind, path, value))


def test_a_user_that_is_not_root_may_be_named() -> None:
    template = {"podTemplate": {"securityContext": {"runAsUser": 1001, "fsGroup": 1001}}}

    assert problems("PipelineRun", "spec/taskRunTemplate", template) == []
