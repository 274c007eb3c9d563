"""The Pipelines pass on their params, and their summaries expect every task."""

from pathlib import Path
from typing import Any

import pytest
from tasks.manifests import (
    ROOT,
    Manifest,
    library,
    manifests,
    named,
    pipeline_tasks,
    used_names,
)

from stepkit.cli.commands import run_local
from stepkit.errors import ConfigurationError
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
def test_the_last_notification_has_what_the_tasks_beside_it_make(pipeline: Manifest) -> None:
    last = {used["name"]: passed(used) for used in pipeline.spec.get("finally", [])}
    if "notify" not in last:
        return
    notified = last["notify"]
    assert notified["published-by"] == last["publish-artifacts"]["report"]
    assert notified["published-to"] == last["publish-artifacts"]["destination"]
    page = last["summarize"]["summary"].replace("STEP_SUMMARY", "report").replace(".md", ".html")
    assert notified["report-page"] == page


@PIPELINES
def test_a_summary_expects_every_task_and_knows_how_it_ended(pipeline: Manifest) -> None:
    plain = [used for used in pipeline.spec["tasks"] if "matrix" not in used]
    names = [used["name"] for used in plain if not notifies(used)]
    (summary,) = [one for one in pipeline_tasks(pipeline.spec) if runs(one, "summarize")]

    expected = passed(summary)["expect"]
    asked_for = passed(summary).get("asked-for", [])
    conditional = {item.partition("=")[0] for item in asked_for}
    assert [name for name in expected if name in names] == [
        used["name"]
        for used in plain
        if used["name"] in names and (not optional(used) or used["name"] in conditional)
    ]
    assert asked_for == [
        f"{used['name']}={condition['input']}"
        for used in plain
        for condition in used.get("when", [])
        if used["name"] in conditional
    ]
    known = [used["name"] for used in pipeline.spec["tasks"] if not notifies(used)]
    assert passed(summary)["statuses"] == [
        f"{name}=$(tasks.{name}.status)/$(tasks.{name}.reason)" for name in known
    ]


def test_an_empty_list_of_notebooks_is_refused_before_anything_runs(tmp_path: Path) -> None:
    options = run_local.Options(
        pipeline=ROOT / "pipelines/notebook-matrix.yaml",
        param=("notebooks-url=/origin", "notebooks=[]"),
        workspace=(f"shared={tmp_path}/work",),
    )

    with pytest.raises(ConfigurationError, match=r"\$\(params.notebooks\[0\]\): the list is empty"):
        run_local.run(options)
    assert not list(tmp_path.iterdir())


@PIPELINES
def test_a_list_that_a_matrix_runs_over_is_read_by_its_first_item(pipeline: Manifest) -> None:
    """Tekton refuses an index that does not exist, and waits for ever for an empty matrix."""
    for used in pipeline.spec["tasks"]:
        for value in passed(used.get("matrix", {})).values():
            for name in used_names(value, "params"):
                indexed = f"$(params.{name.removesuffix('[*]')}[0])"
                values = [v for other in pipeline.spec["tasks"] for v in passed(other).values()]
                assert indexed in values


@pytest.mark.parametrize("name", ["hang-timeout", "cell-output-limit"])
@pytest.mark.parametrize("pipeline", ["notebook-ci", "notebook-matrix"])
def test_a_pipeline_limits_cells_that_do_nothing_or_print_without_end(
    pipeline: str, name: str
) -> None:
    (manifest,) = (one for one in manifests("Pipeline") if one.name == pipeline)
    (execute,) = (u for u in pipeline_tasks(manifest.spec) if runs(u, "execute-notebook"))

    assert passed(execute)[name] == f"$(params.{name})"
    assert named(manifest.spec["params"])[name]["default"]
