"""From an event of GitHub to a PipelineRun that starts."""

import copy
import re
import shutil
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from tasks.catalog_checks import check_catalog
from tasks.github_events import COMMIT, REPOSITORY, commit, pull_request, push
from tasks.manifests import ROOT, Manifest, library, manifests, named, texts
from tasks.pipeline_checks import check_run
from tasks.tekton_checks import check_tekton
from tasks.test_tekton_schemas import faults
from tasks.trigger_checks import Triggers

from stepkit.formats import durations
from stepkit.run_local.task_dependencies import dependencies

DIRECTORY = ROOT / "triggers"
DOCS = ROOT.parent / "docs/triggers.md"
KINDS = ("EventListener", "TriggerBinding", "TriggerTemplate")
EVENTS = {"github-push": push(commit("[gpu]")), "github-pull-request": pull_request()}
TRIGGERS = Triggers(manifests(*KINDS))
(LISTENER,) = TRIGGERS.listeners
BY_EVENT = pytest.mark.parametrize("trigger", LISTENER.spec["triggers"], ids=lambda t: t["name"])


def started(trigger: dict[str, Any]) -> Manifest:
    return Manifest(DIRECTORY / "run.yaml", TRIGGERS.run(trigger, EVENTS[trigger["name"]]))


def test_nothing_is_wrong_with_the_triggers() -> None:
    assert list(TRIGGERS.check()) == []


@BY_EVENT
def test_the_run_can_start(trigger: dict[str, Any]) -> None:
    run = started(trigger)

    for check in (check_tekton, check_catalog, check_run):
        assert list(check(run, library())) == []


@BY_EVENT
def test_the_run_fits_the_schema_of_tekton(trigger: dict[str, Any]) -> None:
    assert faults("PipelineRun", started(trigger).value) == []


@BY_EVENT
def test_the_run_gets_the_commit_and_not_the_branch(trigger: dict[str, Any]) -> None:
    run = started(trigger)

    params = {param["name"]: param["value"] for param in run.spec["params"]}
    assert params["notebooks-url"] == REPOSITORY["clone_url"]
    assert params["notebooks-revision"] == COMMIT
    annotations = run.value["metadata"]["annotations"]
    assert annotations["stepkit/repository"] == REPOSITORY["full_name"]
    assert annotations["stepkit/commit"] == COMMIT


MARKED = {"github-push": push(commit("[gpu]")), "github-pull-request": pull_request(title="[gpu]")}
UNMARKED = {"github-push": push(commit("[notebook]")), "github-pull-request": pull_request()}


@BY_EVENT
def test_a_run_is_the_lite_variant_unless_a_message_asks_for_the_original(
    trigger: dict[str, Any],
) -> None:
    def chosen(events: dict[str, Any]) -> tuple[str, str, str, str]:
        made = TRIGGERS.run(trigger, events[trigger["name"]])
        params = {param["name"]: param["value"] for param in made["spec"]["params"]}
        annotated = made["metadata"]["annotations"]["stepkit/pipeline-version"]
        return params["variant"], params["suffix"], params["gpu"], annotated

    assert chosen(UNMARKED) == ("lite", "_lite", "required", "lite")
    assert chosen(MARKED) == ("original", "", "required", "original")


def test_what_no_binding_gives_has_the_default_of_the_older_template() -> None:
    params = named(TRIGGERS.templates["stepkit-notebook-ci"]["params"])

    assert params["pipeline-version"]["default"] == "lite"
    assert params["gpu"]["default"] == "required"


@BY_EVENT
def test_free_text_of_an_event_does_not_get_into_the_run(
    trigger: dict[str, Any],
) -> None:
    written = " ".join(text for _, text in texts(TRIGGERS.bindings))

    for field in ("message", "title", "ref)", "login", "label"):
        assert field not in written
    assert "$(" not in str(started(trigger).value)


def test_the_run_is_placed_as_the_example_is() -> None:
    (example,) = [
        one
        for one in manifests("PipelineRun")
        if one.path == ROOT / "pipelines/runs/notebook-ci.yaml"
    ]

    run = started(LISTENER.spec["triggers"][0])

    for field in ("taskRunTemplate", "workspaces", "timeouts"):
        assert run.spec[field] == example.spec[field]


def test_the_run_has_time_for_its_tasks_one_after_the_other() -> None:
    pipeline = library().pipeline("notebook-ci")
    tasks, needed = named(library().pipelines["notebook-ci"]["tasks"]), dependencies(pipeline)

    def end(name: str) -> float:
        used = tasks[name]
        before = max((end(other) for other in needed[name]), default=0.0)
        tries = 1 + int(used.get("retries", 0))
        return before + durations.parse(used["timeout"]) * tries

    limit = started(LISTENER.spec["triggers"][0]).spec["timeouts"]["tasks"]
    assert max(map(end, tasks)) <= durations.parse(limit)


def test_accounts_and_claims_are_those_of_the_cluster() -> None:
    run = started(LISTENER.spec["triggers"][0])

    accounts = [one.name for one in manifests("ServiceAccount")]
    assert accounts.count(LISTENER.spec["serviceAccountName"]) == 1
    assert accounts.count(run.spec["taskRunTemplate"]["serviceAccountName"]) == 1
    claims = [one.name for one in manifests("PersistentVolumeClaim")]
    for workspace in run.spec["workspaces"]:
        assert workspace["persistentVolumeClaim"]["claimName"] in claims


def test_the_kustomization_lists_every_file() -> None:
    kustomization = yaml.safe_load((DIRECTORY / "kustomization.yaml").read_text())

    files = {path.name for path in DIRECTORY.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == files


def built(directory: Path) -> list[Manifest]:
    if not shutil.which("kubectl"):
        pytest.skip("there is no kubectl here")
    done = subprocess.run(
        ["kubectl", "kustomize", directory], capture_output=True, text=True, check=True
    )
    return [Manifest(directory / "x.yaml", one) for one in yaml.safe_load_all(done.stdout)]


def test_kustomize_builds_the_directory() -> None:
    found = built(DIRECTORY)

    assert sorted(one.name for one in found) == sorted(one.name for one in manifests(*KINDS))
    assert {one.value["metadata"]["namespace"] for one in found} == {"stepkit"}


def test_what_a_project_sets_reaches_its_runs(tmp_path: Path) -> None:
    (block,) = re.findall(
        r" *```yaml\n( *apiVersion: kustomize.*?)```", DOCS.read_text(), re.DOTALL
    )
    kustomization = yaml.safe_load(textwrap.dedent(block))
    shutil.copytree(DIRECTORY, tmp_path / "triggers")
    (tmp_path / "mine").mkdir()
    kustomization["resources"] = ["../triggers"]
    (tmp_path / "mine/kustomization.yaml").write_text(yaml.safe_dump(kustomization))

    triggers = Triggers(built(tmp_path / "mine"))

    assert list(triggers.check()) == []
    made = triggers.run(LISTENER.spec["triggers"][0], EVENTS["github-push"])
    run = Manifest(DIRECTORY / "run.yaml", made)
    assert list(check_run(run, library())) == []
    params = {param["name"]: param["value"] for param in run.spec["params"]}
    assert params["notebook"] == "notebooks/analysis.ipynb"
    selector = {"nvidia.com/gpu.product": "NVIDIA-L4"}
    assert run.spec["taskRunTemplate"]["podTemplate"] == {"nodeSelector": selector}


def test_a_project_sets_every_param_that_no_event_gives() -> None:
    triggers = copy.deepcopy(TRIGGERS)
    of_event = {p["name"] for p in triggers.bindings["stepkit-push"]["params"]}
    (template,) = triggers.templates.values()
    names = [p["name"] for p in template["params"] if p["name"] not in of_event]
    triggers.bindings["stepkit-project"]["params"] = [
        {"name": name, "value": f"the {name}"} for name in names
    ]

    assert list(triggers.check()) == []
    made = triggers.run(LISTENER.spec["triggers"][0], EVENTS["github-push"])
    given = {param["name"]: param["value"] for param in made["spec"]["params"]}
    assert {name: given[name] for name in names} == {name: f"the {name}" for name in names}


def test_a_project_without_a_lite_variant_runs_the_original(tmp_path: Path) -> None:
    (block,) = re.findall(
        r" *```yaml\n( *- target: {kind: EventListener.*?)```", DOCS.read_text(), re.DOTALL
    )
    shutil.copytree(DIRECTORY, tmp_path / "triggers")
    (tmp_path / "mine").mkdir()
    kustomization = {
        "resources": ["../triggers"],
        "patches": yaml.safe_load(textwrap.dedent(block)),
    }
    (tmp_path / "mine/kustomization.yaml").write_text(yaml.safe_dump(kustomization))

    triggers = Triggers(built(tmp_path / "mine"))

    for trigger in triggers.listeners[0].spec["triggers"]:
        made = triggers.run(trigger, UNMARKED[trigger["name"]])
        params = {param["name"]: param["value"] for param in made["spec"]["params"]}
        assert (params["variant"], params["suffix"]) == ("original", "")


FIRST = "0/spec/triggers/0"
BINDING = "EventListener, TriggerBinding, TriggerBinding, TriggerBinding, TriggerTemplate"
BAD = {
    "version": ("0/apiVersion", "triggers.tekton.dev/v1alpha1", "apiVersion: must be"),
    "account": ("0/spec/serviceAccountName", "", "serviceAccountName: is missing"),
    "no signature": (f"{FIRST}/interceptors/0/params/0/value", {}, "checks the signature"),
    "signature after the filter": (
        f"{FIRST}/interceptors",
        LISTENER.spec["triggers"][0]["interceptors"][::-1],
        "checks the signature",
    ),
    "every event": (f"{FIRST}/interceptors/0/params/1/value", [], "one event type is needed"),
    "no filter": (f"{FIRST}/interceptors/1/params/0/name", "x", "the last one filters"),
    "no overlay": (f"{FIRST}/interceptors/1/params/1/value", [], "suffix is made or used"),
    "interceptor's kind": (f"{FIRST}/interceptors/0/ref", {"name": "github"}, "ClusterInterceptor"),
    "unknown binding": (f"{FIRST}/bindings/0/ref", "x", "there is no TriggerBinding x"),
    "unused binding": (f"{FIRST}/bindings/0/ref", "stepkit-pull-request", "no trigger uses it"),
    "unknown template": (f"{FIRST}/template/ref", "x", "there is no TriggerTemplate x"),
    "binding left out": (
        f"{FIRST}/bindings",
        [{"ref": "stepkit-push"}],
        "given or wanted",
    ),
    "binding twice": (
        f"{FIRST}/bindings",
        [{"ref": "stepkit-push"}, {"ref": "stepkit-pull-request"}, {"ref": "stepkit-project"}],
        "commit is given twice",
    ),
    "trigger's name": (f"{FIRST}/name", "github-pull-request", "two triggers have this name"),
    "variable of a template": (
        "1/spec/params/0/value",
        "$(tt.params.x)",
        "not a field of an event",
    ),
    "part of a text": ("1/spec/params/0/value", "x$(body.ref)", "not a field of an event"),
    "unused param": ("4/spec/params/0/name", "x", "x is declared or used"),
    "fixed name": ("4/spec/resourcetemplates/0/metadata", {"name": "x"}, "generateName is needed"),
    "event in a template": (
        "4/spec/resourcetemplates/0/spec/pipelineRef/name",
        "$(body.ref)",
        "has only $(tt.params",
    ),
}


@pytest.mark.parametrize(("path", "value", "problem"), BAD.values(), ids=BAD.keys())
def test_a_fault_in_the_triggers_is_found(path: str, value: Any, problem: str) -> None:
    found = [Manifest(one.path, copy.deepcopy(one.value)) for one in manifests(*KINDS)]
    assert ", ".join(one.kind for one in found) == BINDING
    number, *keys, last = path.split("/")
    where: Any = found[int(number)].value
    for key in keys:
        where = where[int(key) if key.isdigit() else key]
    where[int(last) if last.isdigit() else last] = value

    assert any(problem in one for one in Triggers(found).check())


def test_the_docs_name_the_secret_and_the_service_of_the_listener() -> None:
    text = DOCS.read_text()
    secret = named(LISTENER.spec["triggers"][0]["interceptors"][0]["params"])["secretRef"]["value"]

    assert f"create secret generic {secret['secretName']}" in text
    assert f"--from-file={secret['secretKey']}=" in text
    assert f"el-{LISTENER.name}" in text
