"""The StepActions in the tree are those that the Tasks make."""

import copy
from typing import Any

import pytest
import yaml
from tasks.manifests import ROOT, Manifest, library, manifests, named, used_names
from tasks.task_checks import COMMAND, SECURITY
from tasks.tekton_checks import check_tekton

from stepkit.formats import yaml_files
from tasks import stepactions

ACTIONS = pytest.mark.parametrize("action", manifests("StepAction"), ids=lambda one: one.name)
TASK = yaml.safe_load((ROOT / "execute-notebook.yaml").read_text())


def changed(path: str, value: Any) -> dict[str, Any]:
    task: dict[str, Any] = copy.deepcopy(TASK)
    where: Any = task["spec"]
    *keys, last = path.split("/")
    for key in keys:
        where = where[int(key) if key.isdigit() else key]
    where[last] = value
    return task


def test_a_cluster_reads_what_was_made() -> None:
    for action in manifests("StepAction"):
        (task,) = yaml_files.read_manifests(ROOT / action.path.name)
        assert action.value == stepactions.step_action(task.value)


@ACTIONS
def test_it_holds_all_that_tekton_lets_it_hold(action: Manifest) -> None:
    task, spec = library().tasks[action.name], action.spec

    assert spec["command"] == [*COMMAND, action.name]
    assert spec["image"] == "$(params.image)"
    assert spec["securityContext"] == SECURITY
    assert "HOME" in named(spec["env"])  # a step that refers to it may not set it
    own = {key: value for key, value in spec.items() if key != "params"}
    assert used_names(own, "params") == set(named(spec["params"]))
    left_out = set(named(task["params"])) - set(named(spec["params"]))
    assert left_out == used_names([task["steps"][0].get("onError", "")], "params")
    assert spec["results"] == task["results"]
    assert not {"workspaces", "computeResources", "timeout", "onError"} & set(spec)


@ACTIONS
def test_a_workspace_becomes_a_path(action: Manifest) -> None:
    params = named(action.spec["params"])
    for name, workspace in named(library().tasks[action.name]["workspaces"]).items():
        param = params[f"{name}-path"]
        assert ("default" in param) == bool(workspace.get("optional")), name
        assert f"$(params.{name}-path)" in str(action.spec)


@ACTIONS
def test_a_volume_is_named_by_one_param(action: Manifest) -> None:
    mounts = library().tasks[action.name]["steps"][0].get("volumeMounts", [])

    names = [mount["name"] for mount in action.spec.get("volumeMounts", [])]
    assert names == [f"$(params.{mount['name']}-volume)" for mount in mounts]
    for mount in mounts:
        assert f"has a volume {mount['name']}" in action.spec["description"]


def test_its_description_says_to_ask_for_the_gpu() -> None:
    (action,) = [one for one in manifests("StepAction") if one.name == "execute-notebook"]

    assert 'computeResources.limits (nvidia.com/gpu: "1")' in action.spec["description"]


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        (changed("steps", [{}, {}]), "a StepAction is one step"),
        (changed("steps/0/envFrom", []), "cannot say envFrom"),
        (changed("steps/0/args", ["$(workspaces.shared.bound)"]), r"knows no \$\(workspaces"),
    ],
)
def test_what_it_cannot_say_is_refused(task: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        stepactions.step_action(task)


@pytest.mark.parametrize(
    ("arg", "problem"),
    [
        ("--x=$(workspaces.shared.path)", "replaces no workspaces in this"),
        ("--x=$(results.page.path)", "replaces no results in this field"),
        ("--x=$(step.results.pgae.path)", "there is no variable $(step.results.pgae.path)"),
        ("--x=$(params.parameters[*])", "as a whole item of a list"),
    ],
)
def test_a_fault_in_an_arg_of_a_stepaction_is_found(arg: str, problem: str) -> None:
    action = stepactions.step_action(TASK)
    action["spec"]["args"].append(arg)

    found = list(check_tekton(Manifest(ROOT / "x.yaml", action), library()))

    assert len(found) == 1
    assert problem in found[0]


def test_a_variable_where_a_stepaction_has_none_is_found() -> None:
    action = stepactions.step_action(TASK)
    action["spec"]["securityContext"] = {"runAsUser": "$(params.notebook)"}

    (found,) = check_tekton(Manifest(ROOT / "x.yaml", action), library())

    assert "replaces nothing" in found
