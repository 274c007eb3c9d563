"""The Pipelines pass on their params, and their summaries expect every task."""

from typing import Any

import pytest
from tasks.manifests import Manifest, library, manifests, named, pipeline_tasks

from stepkit.gpu.step_options import GpuOptions
from stepkit.options import declared
from stepkit.step import kebab

PIPELINES = pytest.mark.parametrize("pipeline", manifests("Pipeline"), ids=lambda one: one.name)


def passed(used: dict[str, Any]) -> dict[str, Any]:
    return {param["name"]: param["value"] for param in used.get("params", [])}


def optional(used: dict[str, Any]) -> bool:
    """Return whether a param decides that the task runs: a run without it is complete."""
    return any("$(params." in condition["input"] for condition in used.get("when", []))


def notifies(used: dict[str, Any]) -> bool:
    """Return whether the task only notifies people of the run."""
    return runs(used, "notify")


def runs(used: dict[str, Any], name: str) -> bool:
    steps = library().task_of(used).get("steps", [])
    return any(step["command"][-1] == name for step in steps)


@pytest.mark.parametrize("name", ["execute-notebook", "execute-notebooks"])
def test_tasks_that_run_notebooks_take_every_flag_about_the_gpu(name: str) -> None:
    params = named(library().tasks[name]["params"])

    assert {kebab(option.field.name) for option in declared(GpuOptions)} <= set(params)


@pytest.mark.parametrize("name", ["gpu", "rmm-mode", "rmm-pool-size", "on-gpu-oom"])
@PIPELINES
def test_a_pipeline_passes_its_params_about_the_gpu_to_the_notebook(
    pipeline: Manifest, name: str
) -> None:
    params = named(pipeline.spec["params"])
    for used in pipeline_tasks(pipeline.spec):
        if runs(used, "execute-notebook") or runs(used, "execute-notebooks"):
            default = named(library().task_of(used)["params"])[name]["default"]
            assert passed(used)[name] == f"$(params.{name})"
            assert params[name]["default"] == default


@PIPELINES
def test_a_pipeline_gives_every_task_its_own_report(pipeline: Manifest) -> None:
    for used in pipeline_tasks(pipeline.spec):
        if "report" in named(library().task_of(used)["params"]):
            directory = "$(context.pipelineRun.name)/reports/"
            values = [*passed(used).values(), *passed(used.get("matrix", {})).values()]
            if "matrix" in used:
                assert any(str(value).startswith(directory) for value in values), used["name"]
            else:
                assert passed(used)["report"] == f"{directory}{used['name']}.json"


@PIPELINES
def test_a_summary_expects_every_task_and_knows_how_it_ended(pipeline: Manifest) -> None:
    plain = [used for used in pipeline.spec["tasks"] if "matrix" not in used]
    names = [used["name"] for used in plain if not notifies(used)]
    (summary,) = [one for one in pipeline_tasks(pipeline.spec) if runs(one, "summarize")]

    expected = passed(summary)["expect"]
    assert [name for name in expected if name in names] == [
        used["name"] for used in plain if used["name"] in names and not optional(used)
    ]
    known = [used["name"] for used in pipeline.spec["tasks"] if not notifies(used)]
    assert passed(summary)["statuses"] == [
        f"{name}=$(tasks.{name}.status)/$(tasks.{name}.reason)" for name in known
    ]
