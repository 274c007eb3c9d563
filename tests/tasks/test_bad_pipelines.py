"""Each check of a Pipeline or a run must be able to fail: a small one with one fault each."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from tasks.good_documents import COLLECT, PIPELINE, RUN, TASK, problems
from tasks.manifests import ROOT, Library, Manifest
from tasks.pipeline_checks import check_pipeline, check_run
from tasks.reference_checks import check_references

FIRST, SECOND, LAST = "spec/tasks/0", "spec/tasks/1", "spec/finally/0"
BAD_PIPELINES = {
    "unknown Task": (f"{FIRST}/taskRef/name", "convert", "there is no Task convert"),
    "name twice": (f"{SECOND}/name", "tell", "two tasks have this name"),
    "unused workspace": (
        "spec/workspaces/+",
        {"name": "cache", "description": "Cache."},
        "cache: nothing uses it",
    ),
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
    "param given twice": (
        f"{FIRST}/matrix",
        {"params": [{"name": "report", "value": ["x"]}]},
        "is given by params and by matrix",
    ),
    "workspace of another Task": (
        f"{FIRST}/workspaces/+",
        {"name": "cache", "workspace": "files"},
        "its Task has no such workspace",
    ),
    "matrix of a text": (
        f"{FIRST}/matrix",
        {"params": [{"name": "notebook", "value": "x"}]},
        "notebook: must be a list",
    ),
    "matrix for an array": (
        f"{SECOND}/matrix",
        {"params": [{"name": "expect", "value": ["x"]}]},
        "a matrix gives strings",
    ),
    "array of results within a text": (
        SECOND,
        {
            **PIPELINE["spec"]["tasks"][1],
            "params": [{"name": "files", "value": ["x$(tasks.convert.results.page[*])"]}],
        },
        "a string has no items",
    ),
    "result in a subPath": (
        f"{SECOND}/workspaces/0/subPath",
        "$(tasks.convert.results.page)",
        "stands in params, when or matrix",
    ),
    "misspelt head": (f"{FIRST}/params/0/value", "$(param.image)", "there is no such variable"),
    "unknown param in a displayName": (
        f"{FIRST}/displayName",
        "Convert $(params.colour)",
        "no such param",
    ),
    "param in a default": ("spec/params/0/default", "$(params.names[0])", "replaced nowhere"),
    "unknown param in it": (
        SECOND,
        {
            "name": "x",
            "taskSpec": {
                "steps": [
                    {
                        "name": "x",
                        "command": ["python", "-P", "-m", "stepkit", "summarize"],
                        "args": ["--title=$(params.colour)"],
                    }
                ]
            },
        },
        "no such param",
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
    "GPU for a page": (
        "spec/taskRunSpecs/0/stepSpecs/0/computeResources",
        {"limits": {"nvidia.com/gpu": "1"}},
        "a GPU that it does not use",
    ),
    "GPU that is requested": (
        "spec/taskRunSpecs/0/stepSpecs/0/computeResources",
        {"requests": {"nvidia.com/gpu": "1"}},
        "stands in limits",
    ),
    "both ways": ("spec/taskRunSpecs/0/computeResources", {}, "has both"),
    "misspelt head": ("spec/workspaces/0/subPath", "$(param.names)", "no such variable"),
    "variable in a param": (
        "spec/params/0/value",
        ["$(context.pipelineRun.name)"],
        "replaces nothing",
    ),
}


@pytest.mark.parametrize(("path", "value", "problem"), BAD_RUNS.values(), ids=BAD_RUNS.keys())
def test_a_fault_in_a_run_is_found(path: str, value: Any, problem: str) -> None:
    assert any(problem in found for found in problems("PipelineRun", path, value))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(tasks.convert.results.page[*])", []),
        ("$(tasks.convert.results.page[0])", []),
        ("$(tasks.convert.results.page)", ["an array is written with [*]"]),
        (
            "x$(tasks.convert.results.page[*])",
            ["an array stands alone, as one whole item of a list"],
        ),
    ],
)
def test_results_of_a_matrix_stand_alone(text: str, expected: list[str]) -> None:
    pipeline = copy.deepcopy(PIPELINE)
    first, second = pipeline["spec"]["tasks"]
    first["matrix"] = {"params": [{"name": "notebook", "value": ["x"]}]}
    second["params"] = [{"name": "files", "value": [text]}]
    del pipeline["spec"]["results"]
    known = Library([Manifest(ROOT / "x.yaml", TASK)])

    found = list(check_references(Manifest(ROOT / "two.yaml", pipeline), known))

    assert [one.rpartition(": ")[2] for one in found] == expected


def test_results_of_a_matrix_need_a_task_that_uses_them() -> None:
    pipeline = copy.deepcopy(PIPELINE)
    first, second = pipeline["spec"]["tasks"]
    first["matrix"] = {"params": [{"name": "notebook", "value": ["x"]}]}
    pipeline["spec"]["results"][0]["value"] = "$(tasks.convert.results.page[*])"
    known = Library([Manifest(ROOT / "x.yaml", one) for one in (TASK, COLLECT)])
    manifest = Manifest(ROOT / "two.yaml", pipeline)

    assert not [one for one in check_pipeline(manifest, known) if "of a matrix" in one]
    second["params"] = [{"name": "files", "value": ["$(params.names[*])"]}]
    (found,) = check_pipeline(manifest, known)
    assert "of a matrix: Tekton finds it only if a task uses it too" in found


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"nvidia.com/gpu": "4"}, []),
        ({"nvidia.com/mig-1g.10gb": "1", "nvidia.com/gpu": "0"}, []),
        ({"nvidia.com/mig-1g.10gb": "1"}, ["set the Task's own to 0"]),
    ],
)
def test_a_slice_of_a_gpu_stands_in_place_of_the_whole(
    limits: dict[str, str], expected: list[str]
) -> None:
    task = yaml.safe_load((ROOT / "execute-notebook.yaml").read_text())
    used = {"name": "run", "taskRef": {"name": "execute-notebook"}}
    spec = {"name": "execute-notebook", "computeResources": {"limits": limits}}
    run = copy.deepcopy(RUN)
    run["spec"] |= {
        "pipelineSpec": {"tasks": [used]},
        "params": [],
        "workspaces": [],
        "taskRunSpecs": [{"pipelineTaskName": "run", "stepSpecs": [spec]}],
    }

    known = Library([Manifest(ROOT / "x.yaml", task)])
    found = list(check_run(Manifest(ROOT / "run.yaml", run), known))

    assert [one.rpartition(": ")[2] for one in found] == expected


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
