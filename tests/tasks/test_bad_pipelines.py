"""Each check of a Pipeline or a run can fail: small documents with one fault each."""

import copy
from typing import Any

import pytest
import yaml
from tasks.good_documents import COLLECT, PIPELINE, RUN, TASK, problems
from tasks.manifests import ROOT, Library, Manifest
from tasks.pipeline_checks import check_run
from tasks.tekton_checks import check_tekton

FIRST, SECOND, LAST = "spec/tasks/0", "spec/tasks/1", "spec/finally/0"
BAD_PIPELINES = {
    "unknown Task": (f"{FIRST}/taskRef/name", "convert", "there is no Task convert"),
    "name twice": (f"{SECOND}/name", "list-all", "the name 'list-all' is used twice"),
    "unused workspace": (
        "spec/workspaces/+",
        {"name": "cache", "description": "Cache."},
        "cache: nothing uses it",
    ),
    "unknown param": (f"{FIRST}/params/+", {"name": "x", "value": "y"}, "has no param 'x'"),
    "missing workspace": (
        f"{FIRST}/workspaces",
        [],
        "the workspace 'shared' of the Task convert-notebook is not given",
    ),
    "unknown workspace": (
        f"{FIRST}/workspaces",
        [{"name": "shared", "workspace": "cache"}],
        "the Pipeline has no workspace 'cache'",
    ),
    "optional workspace for a required one": (
        "spec/workspaces/0/optional",
        True,
        "cannot do without 'shared'",
    ),
    "string for an array": (
        f"{SECOND}/params/0/value",
        "x",
        "of type array, and this is of type string",
    ),
    "array within a text": (
        f"{SECOND}/params/0/value",
        ["x$(params.names[*])"],
        "as a whole item of a list",
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
        "Tekton replaces no tasks in this field",
    ),
    "status of no task": (
        f"{LAST}/params/0/value",
        ["$(tasks.conver.status)"],
        "there is no variable $(tasks.conver.status)",
    ),
    "context in when": (
        f"{FIRST}/when",
        [{"input": "$(context.pipelineRun.name)", "operator": "in", "values": ["x"]}],
        "Tekton replaces no context in this field",
    ),
    "unknown result": (
        f"{SECOND}/params/0/value",
        ["$(tasks.convert.results.pgae)"],
        "there is no variable $(tasks.convert.results.pgae)",
    ),
    "result of finally": (
        f"{LAST}/params/0/value",
        ["$(finally.list-all.results.count)"],
        "there is no variable $(finally.list-all.results.count)",
    ),
    "circle": (f"{FIRST}/runAfter", ["collect"], "wait for each other: convert -> collect"),
    "order of no task": (f"{FIRST}/runAfter", ["clone"], "there is no task 'clone'"),
    "order in finally": (f"{LAST}/runAfter", ["collect"], "have no order"),
    "continue with retries": (
        SECOND,
        {**PIPELINE["spec"]["tasks"][1], "onError": "continue", "retries": 1},
        "no onError: continue together with retries",
    ),
    "matrix too large": (
        f"{FIRST}/matrix",
        {"params": [{"name": n, "value": ["x"] * 20} for n in ("notebook", "page")]},
        "more than 256 combinations",
    ),
    "param given twice": (
        f"{FIRST}/matrix",
        {"params": [{"name": "report", "value": ["x"]}]},
        "is given by params and by matrix",
    ),
    "workspace of another Task": (
        f"{FIRST}/workspaces/+",
        {"name": "cache", "workspace": "files"},
        "the Task convert-notebook has no workspace 'cache'",
    ),
    "matrix of a text": (
        f"{FIRST}/matrix",
        {"params": [{"name": "notebook", "value": "x"}]},
        "a param of a matrix must be a list",
    ),
    "matrix for an array": (
        f"{SECOND}/matrix",
        {"params": [{"name": "expect", "value": ["x"]}]},
        "expect is of type array, and this is of type string",
    ),
    "array of results within a text": (
        SECOND,
        {
            **PIPELINE["spec"]["tasks"][1],
            "params": [{"name": "files", "value": ["x$(tasks.convert.results.page[*])"]}],
        },
        "is a string: write it without [*]",
    ),
    "result in a subPath": (
        f"{SECOND}/workspaces/0/subPath",
        "$(tasks.convert.results.page)",
        "Tekton replaces no tasks in this field",
    ),
    "misspelt head": (
        f"{FIRST}/params/0/value",
        "$(param.image)",
        "there is no variable $(param.image)",
    ),
    "unknown param in a displayName": (
        f"{FIRST}/displayName",
        "Convert $(params.colour)",
        "there is no variable $(params.colour)",
    ),
    "param in a default": ("spec/params/0/default", "$(params.names[0])", "replaces nothing"),
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
        "there is no variable $(params.colour)",
    ),
    "matrix in a result alone": (
        f"{FIRST}/matrix",
        {"params": [{"name": "notebook", "value": ["x"]}]},
        "write $(tasks.convert.results.page[*])",
    ),
    "cel": (f"{FIRST}/when", [{"cel": "'x' == 'y'"}], "the field 'operator' is missing"),
    "no duration": (f"{FIRST}/timeout", "30 minutes", "is not a duration"),
    "unused param": ("spec/params/+", {"name": "x", "description": "X."}, "nothing uses it"),
    "result of no task": (
        "spec/results/0/value",
        "$(tasks.x.results.y)",
        "there is no variable $(tasks.x.results.y)",
    ),
    "result of a param": (
        "spec/results/0/value",
        "$(params.image)",
        "Tekton replaces no params in this field",
    ),
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
    "misspelt head": (
        "spec/workspaces/0/subPath",
        "$(param.names)",
        "there is no variable $(param.names)",
    ),
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
        ("$(tasks.convert.results.page)", ["is an array and does not fit into a string"]),
        ("x$(tasks.convert.results.page[*])", ["is an array and does not fit into a string"]),
    ],
)
def test_results_of_a_matrix_stand_alone(text: str, expected: list[str]) -> None:
    pipeline = copy.deepcopy(PIPELINE)
    first, second = pipeline["spec"]["tasks"]
    first["matrix"] = {"params": [{"name": "notebook", "value": ["x"]}]}
    second["params"] = [{"name": "files", "value": [text]}]
    del pipeline["spec"]["results"]
    known = Library([Manifest(ROOT / "x.yaml", one) for one in (TASK, COLLECT)])

    found = list(check_tekton(Manifest(ROOT / "two.yaml", pipeline), known))

    assert len(found) == len(expected)
    assert all(problem in one for problem, one in zip(expected, found, strict=True))


def test_results_of_a_matrix_need_a_task_that_uses_them() -> None:
    pipeline = copy.deepcopy(PIPELINE)
    first, second = pipeline["spec"]["tasks"]
    first["matrix"] = {"params": [{"name": "notebook", "value": ["x"]}]}
    pipeline["spec"]["results"][0]["value"] = "$(tasks.convert.results.page[*])"
    known = Library([Manifest(ROOT / "x.yaml", one) for one in (TASK, COLLECT)])
    manifest = Manifest(ROOT / "two.yaml", pipeline)

    assert not [one for one in check_tekton(manifest, known) if "of the matrix" in one]
    second["params"] = [{"name": "files", "value": ["$(params.names[*])"]}]
    (found,) = check_tekton(manifest, known)
    assert "Tekton finds the results of the matrix convert only if another task uses" in found


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

    known = Library([Manifest(ROOT / "two.yaml", one) for one in (TASK, COLLECT, pipeline)])
    (found,) = check_tekton(Manifest(ROOT / "run.yaml", run), known)

    assert "workspaces: convert gets more than one claim: another, one" in found
