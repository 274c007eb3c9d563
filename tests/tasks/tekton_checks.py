"""Ask stepkit.tekton what is wrong in an object, as Tekton and a cluster see it."""

from collections.abc import Iterator
from pathlib import Path

from tasks.manifests import Library, Manifest

from stepkit.errors import ConfigurationError
from stepkit.run_local import arguments
from stepkit.run_local.plan import Plan
from stepkit.run_local.task_dependencies import plan_tasks
from stepkit.tekton.check_admission import admission_problems
from stepkit.tekton.check_pipeline import pipeline_problems
from stepkit.tekton.check_run import run_problems
from stepkit.tekton.check_task import task_problems
from stepkit.tekton.check_variables import variable_problems
from stepkit.tekton.objects import Pipeline
from stepkit.tekton.read_pipeline import read_pipeline
from stepkit.tekton.yaml_documents import Node

EXAMPLES = {"string": "5", "array": '["5"]', "object": "{}"}


def check_tekton(manifest: Manifest, library: Library) -> Iterator[str]:
    """Find what keeps an object from being made on a cluster, or from running there."""
    node = manifest.node
    checks = {"Task": task_problems, "Pipeline": pipeline_problems}
    if wrong := [str(one) for one in checks.get(manifest.kind, lambda _: [])(node)]:
        yield from wrong
    else:
        yield from map(str, admission_problems(node))
    yield from map(str, variable_problems(node))
    if manifest.kind == "Pipeline" and not wrong:
        yield from map(str, _unfit(node, library))
    if manifest.kind == "PipelineRun":
        yield from map(str, _wrong_run(node, library))


def _unfit(node: Node, library: Library) -> Iterator[ConfigurationError]:
    """Yield why a Pipeline and its Tasks do not fit together."""
    try:
        plan_tasks(_example(read_pipeline(node, library.find)))
    except ConfigurationError as error:
        yield error


def _example(pipeline: Pipeline) -> Plan:
    """Return the plan of a run in which every workspace is bound and every param is given."""
    params = pipeline.params.values()
    given = [f"{one.name}={EXAMPLES[one.type]}" for one in params if one.default is None]
    return Plan(
        pipeline=pipeline,
        run="run-1",
        params=arguments.params(given, pipeline),
        workspaces={name: Path("/workspace", name) for name in pipeline.workspaces},
        secrets=arguments.secrets([]),
    )


def _wrong_run(node: Node, library: Library) -> Iterator[ConfigurationError]:
    if "pipelineSpec" in node.value["spec"]:
        spec = node.value["spec"]["pipelineSpec"]
        pipeline = Node({"metadata": {"name": "embedded"}, "spec": spec}, node.source)
        yield from run_problems(node, read_pipeline(pipeline, library.find))
        return
    name = node.value["spec"]["pipelineRef"]["name"]
    if name not in library.pipelines:
        yield node.error(f"there is no Pipeline {name}")
        return
    yield from run_problems(node, library.pipeline(name))
