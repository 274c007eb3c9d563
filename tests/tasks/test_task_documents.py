"""Every YAML file of tasks/ against every check."""

import re
from pathlib import Path

import pytest
import yaml
from tasks.catalog_checks import check_catalog
from tasks.manifests import ROOT, Checker, Manifest, library, manifests
from tasks.pipeline_checks import check_pipeline, check_run
from tasks.task_checks import COMMAND, check_task
from tasks.tekton_checks import check_tekton

from stepkit.cli import parser as cli_parser
from stepkit.formats import yaml_files
from stepkit.steps import STEPS

TEKTON = ("Task", "StepAction", "Pipeline", "PipelineRun", "TaskRun")


@pytest.mark.parametrize("manifest", manifests(*TEKTON), ids=lambda one: one.label)
@pytest.mark.parametrize(
    "check",
    [check_tekton, check_task, check_pipeline, check_run],
    ids=lambda check: check.__name__,
)
def test_nothing_is_wrong_with_it(manifest: Manifest, check: Checker) -> None:
    assert list(check(manifest, library())) == []


@pytest.mark.parametrize("manifest", manifests(), ids=lambda one: one.label)
def test_it_keeps_the_conventions_of_the_catalog(manifest: Manifest) -> None:
    assert list(check_catalog(manifest, library())) == []


@pytest.mark.parametrize("manifest", manifests("CronJob"), ids=lambda one: one.label)
def test_a_job_calls_a_command_as_it_is(manifest: Manifest) -> None:
    (container,) = manifest.spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]

    assert re.search(r":[\w.-]+$", container["image"])
    assert container["command"][:-1] == COMMAND
    args = [container["command"][-1], *container["args"]]
    assert "$(" not in " ".join(args)
    assert cli_parser.build_parser().parse_args(args).step == container["command"][-1]


def test_every_step_has_a_task() -> None:
    assert {one.name for one in manifests("Task")} == STEPS.keys()


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("**/*.yaml")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_every_file_is_strict_yaml_of_objects_with_a_name(path: Path) -> None:
    for document in yaml_files.read_manifests(path):
        assert {"apiVersion", "kind"} <= set(document.value)


def test_the_kustomization_lists_every_task_stepaction_and_pipeline() -> None:
    listed = yaml.safe_load((ROOT / "kustomization.yaml").read_text())["resources"]

    folders = (ROOT, ROOT / "pipelines", ROOT / "stepactions")
    files = {str(p.relative_to(ROOT)) for folder in folders for p in folder.glob("*.yaml")}
    assert sorted(listed) == sorted(files - {"kustomization.yaml"})
