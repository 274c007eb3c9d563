"""The Tasks, the Pipelines and the command line must agree on every name."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from stepkit import cli, results
from stepkit.gpu.options import GpuOptions
from stepkit.options import declared
from stepkit.step import kebab
from stepkit.steps import STEPS

ROOT = Path(__file__).parents[1] / "tasks"
TASKS = sorted(ROOT.glob("*.yaml"))
PIPELINES = sorted(ROOT.glob("pipelines/*.yaml"))


def load(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


@pytest.fixture(params=TASKS, ids=lambda path: path.stem)
def task(request: pytest.FixtureRequest) -> dict[str, Any]:
    return load(request.param)


@pytest.fixture(params=PIPELINES, ids=lambda path: path.stem)
def pipeline(request: pytest.FixtureRequest) -> dict[str, Any]:
    return load(request.param)


def pipeline_tasks(pipeline: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pipeline["spec"]["tasks"], *pipeline["spec"].get("finally", [])]


def test_every_step_has_a_task() -> None:
    assert {path.stem for path in TASKS} == STEPS.keys()


def test_task_only_calls_its_command(task: dict[str, Any]) -> None:
    (step,) = task["spec"]["steps"]

    assert step["command"] == ["python", "-P", "-m", "stepkit", task["metadata"]["name"]]
    assert "script" not in step


def value(reference: re.Match[str], params: dict[str, str]) -> str:
    return params[reference[2]] if reference[1] == "params" else "x"


def test_task_args_parse(task: dict[str, Any]) -> None:
    params = {param["name"]: param.get("default", "5") for param in task["spec"]["params"]}
    (step,) = task["spec"]["steps"]
    args: list[str] = []
    for arg in step["args"]:
        whole = re.fullmatch(r"\$\(params\.([\w-]+)\[\*\]\)", arg)
        args += (
            params[whole[1]]
            if whole
            else [re.sub(r"\$\((\w+)\.([\w-]+)[^)]*\)", lambda m: value(m, params), arg)]
        )

    parsed = cli.build_parser().parse_args([task["metadata"]["name"], *args])

    assert parsed.step == task["metadata"]["name"]


def test_task_declares_just_the_params_it_uses(task: dict[str, Any]) -> None:
    used = set(re.findall(r"\$\(params\.([\w-]+)(?:\[\*\])?\)", str(task["spec"])))

    assert used == {param["name"] for param in task["spec"]["params"]}


@pytest.mark.parametrize("name", ["execute-notebook", "execute-notebooks"])
def test_tasks_that_run_notebooks_take_every_flag_about_the_gpu(name: str) -> None:
    params = {param["name"] for param in load(ROOT / f"{name}.yaml")["spec"]["params"]}

    assert {kebab(option.field.name) for option in declared(GpuOptions)} <= params


@pytest.mark.parametrize("name", ["gpu", "rmm-mode", "rmm-pool-size", "on-gpu-oom"])
def test_pipeline_hands_what_it_is_told_about_the_gpu_to_the_notebook(
    pipeline: dict[str, Any], name: str
) -> None:
    (used,) = (one for one in pipeline_tasks(pipeline) if one["name"] == "execute-notebook")
    params = {param["name"]: param for param in pipeline["spec"]["params"]}
    task = load(ROOT / "execute-notebook.yaml")["spec"]

    assert {"name": name, "value": f"$(params.{name})"} in used["params"]
    (default,) = (param["default"] for param in task["params"] if param["name"] == name)
    assert params[name]["default"] == default


def test_every_param_and_result_is_described(task: dict[str, Any]) -> None:
    for entry in [*task["spec"]["params"], *task["spec"]["results"]]:
        assert entry["description"].endswith("."), entry["name"]


def test_task_declares_just_outputs_of_its_step(task: dict[str, Any]) -> None:
    outputs = set(results.output_names(STEPS[task["metadata"]["name"]]))
    used = set(re.findall(r"\$\(results\.([\w-]+)\.path\)", str(task["spec"]["steps"])))

    declared_results = {result["name"] for result in task["spec"]["results"]}
    assert used == declared_results
    assert declared_results <= outputs
    assert {"reason", "message"} <= declared_results


def test_task_is_restricted_and_pinned(task: dict[str, Any]) -> None:
    template = task["spec"]["stepTemplate"]

    assert template["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert ":latest" not in str(task)
    assert {"name": "HOME", "value": "/tekton/home"} in template["env"]


def test_only_what_needs_a_gpu_asks_for_one(task: dict[str, Any]) -> None:
    needing = {"execute-notebook", "execute-notebooks"}
    assert ("nvidia.com/gpu" in str(task)) == (task["metadata"]["name"] in needing)


def test_secrets_are_optional_and_enter_by_the_environment(task: dict[str, Any]) -> None:
    (step,) = task["spec"]["steps"]
    secret = [entry for entry in step.get("env", []) if "valueFrom" in entry]

    assert all(entry["valueFrom"]["secretKeyRef"]["optional"] is True for entry in secret)
    taken = {o.secret.variable for o in declared(STEPS[step["name"]].Options) if o.secret}
    assert {entry["name"] for entry in secret} == taken


def test_pipeline_passes_only_params_that_its_tasks_have(pipeline: dict[str, Any]) -> None:
    for used in pipeline_tasks(pipeline):
        spec = load(ROOT / f"{used['taskRef']['name']}.yaml")["spec"]
        known = {param["name"]: param for param in spec["params"]}
        passed = {param["name"]: param["value"] for param in used["params"]}

        assert passed.keys() <= known.keys()
        assert {name for name, param in known.items() if "default" not in param} <= passed.keys()
        for name, value in passed.items():
            assert isinstance(value, list) == (known[name]["type"] == "array"), name


def test_pipeline_declares_just_the_params_it_uses(pipeline: dict[str, Any]) -> None:
    used = set(re.findall(r"\$\(params\.([\w-]+)(?:\[\*\])?\)", str(pipeline["spec"])))

    assert used == {param["name"] for param in pipeline["spec"]["params"]}


def test_pipeline_gives_every_task_a_report_of_its_own_and_expects_it(
    pipeline: dict[str, Any],
) -> None:
    reports = {
        used["name"]: next(p["value"] for p in used["params"] if p["name"] == "report")
        for used in pipeline_tasks(pipeline)
    }
    for name, report in reports.items():
        assert report == f"$(context.pipelineRun.name)/reports/{name}.json"

    (summary,) = pipeline["spec"]["finally"]
    passed = {param["name"]: param["value"] for param in summary["params"]}
    names = [used["name"] for used in pipeline["spec"]["tasks"]]
    assert passed["expect"] == names
    assert passed["statuses"] == [f"{name}=$(tasks.{name}.status)" for name in names]


@pytest.mark.parametrize("path", [*TASKS, *PIPELINES], ids=lambda path: path.stem)
def test_yaml_fits_the_schema_of_tekton(path: Path) -> None:
    directory = os.environ.get("TEKTON_SCHEMAS")
    if not directory:
        pytest.skip("TEKTON_SCHEMAS names no directory with Tekton's JSON schemas")
    jsonschema = pytest.importorskip("jsonschema")
    kind = load(path)["kind"].lower()
    schema = json.loads(Path(directory, f"{kind}.json").read_text())

    jsonschema.Draft202012Validator(schema).validate(load(path))
