"""The components of tasks/cluster build together, fit Kubernetes' schemas and have few rights."""

from functools import cache
from pathlib import Path

import pytest
import yaml
from cluster.overlays import CUSTOM, ROOT, Object, kustomize, named, of_kind, relative
from kubernetes_validate.utils import validate

COMPONENTS = sorted(path.parent.name for path in ROOT.glob("components/*/kustomization.yaml"))


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """What all components together make of the smallest overlay, in another namespace."""
    return combined(tmp_path_factory.mktemp("combined"))


@cache
def combined(directory: Path) -> list[Object]:
    parts = [relative(ROOT / "components" / name, directory) for name in COMPONENTS]
    base = relative(ROOT / "overlays/minimal", directory)
    made = {"namespace": "team-a", "resources": [base], "components": parts}
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(made))
    return kustomize(directory)


def pods(objects: list[Object]) -> dict[str, Object]:
    """Return the spec of the pods of each CronJob and DaemonSet, by its name."""
    jobs = {name: job["spec"]["jobTemplate"] for name, job in named(objects, "CronJob").items()}
    made = {**jobs, **named(objects, "DaemonSet")}
    return {name: thing["spec"]["template"]["spec"] for name, thing in made.items()}


def test_components_fit_the_schema_of_kubernetes_together(objects: list[Object]) -> None:
    assert {"prune-runs", "gpu-quota"} <= set(COMPONENTS)
    names = [(thing["kind"], thing["metadata"]["name"]) for thing in objects]
    assert len(names) == len(set(names))
    for thing in objects:
        if thing["kind"] not in CUSTOM:
            validate(thing, "1.31", strict=True)
        assert thing["metadata"]["labels"]["app.kubernetes.io/part-of"] == "stepkit"


def test_components_follow_the_namespace_of_the_overlay(objects: list[Object]) -> None:
    for thing in objects:
        where = None if thing["kind"] in {"Namespace", "ClusterRoleBinding"} else "team-a"
        assert thing["metadata"].get("namespace") == where, thing["metadata"]["name"]
    for binding in of_kind(objects, "RoleBinding"):
        assert [subject["namespace"] for subject in binding["subjects"]] == ["team-a"]


def test_pods_of_components_keep_to_the_restricted_profile(objects: list[Object]) -> None:
    for name, pod in pods(objects).items():
        assert pod["serviceAccountName"] in named(objects, "ServiceAccount"), name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), name
        assert {next(iter(volume.keys() - {"name"})) for volume in pod.get("volumes", [])} \
            <= {"emptyDir", "persistentVolumeClaim"}, name  # fmt: skip
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name


def test_only_prune_runs_may_do_something_and_that_to_runs_alone(objects: list[Object]) -> None:
    (role,) = of_kind(objects, "Role", "ClusterRole")
    assert role["rules"] == [
        {"apiGroups": ["tekton.dev"], "resources": ["pipelineruns"], "verbs": ["list", "delete"]}
    ]
    (binding,) = [
        one
        for one in of_kind(objects, "RoleBinding", "ClusterRoleBinding")
        if one["roleRef"]["name"] == role["metadata"]["name"]
    ]
    assert binding["kind"] == "RoleBinding"
    assert [subject["name"] for subject in binding["subjects"]] == ["prune-runs"]
    using = [name for name, pod in pods(objects).items()
             if pod["serviceAccountName"] == "prune-runs"]  # fmt: skip
    assert using == ["prune-runs"]


def test_prune_runs_knows_each_pipeline_and_reaches_the_api_server(objects: list[Object]) -> None:
    template = named(objects, "CronJob")["prune-runs"]["spec"]["jobTemplate"]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    policy = named(objects, "NetworkPolicy")["prune-runs"]["spec"]

    pipelines = {path.stem for path in (ROOT.parent / "pipelines").glob("*.yaml")}
    assert {arg for arg in container["args"] if not arg.startswith("--")} == pipelines
    assert policy["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    (rule,) = policy["egress"]
    assert rule == {"ports": [{"protocol": "TCP", "port": port} for port in (443, 6443)]}
