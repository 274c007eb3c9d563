"""The overlays of tasks/cluster build, fit the schemas of Kubernetes, and refer to what exists."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.overlays import (
    CUSTOM,
    OVERLAYS,
    ROOT,
    Object,
    kustomize,
    named,
    of_kind,
    overlay,
    relative,
)
from kubernetes_validate.utils import validate

TASKS = ROOT.parent


@pytest.fixture(params=OVERLAYS)
def objects(request: pytest.FixtureRequest) -> list[Object]:
    return overlay(request.param)


def walk(thing: Any) -> list[Any]:
    inner: Any = ()
    if isinstance(thing, dict | list):
        inner = thing.values() if isinstance(thing, dict) else thing
    return [thing, *(found for one in inner for found in walk(one))]


def test_every_file_is_named_in_a_kustomization() -> None:
    named_files: set[Path] = set()
    for path in ROOT.glob("**/kustomization.yaml"):
        made = yaml.safe_load(path.read_text())
        patches = [patch["path"] for patch in made.get("patches", []) if "path" in patch]
        parts = [*made.get("resources", []), *made.get("components", []), *patches]
        named_files |= {(path.parent / part).resolve() for part in parts}

    assert [path for path in named_files if not path.exists()] == []
    loose = {path for path in ROOT.glob("*/**/*.yaml") if path.name != "kustomization.yaml"}
    assert loose - named_files == set()


def test_objects_fit_the_schema_of_kubernetes(objects: list[Object]) -> None:
    for thing in objects:
        if thing["kind"] not in CUSTOM:
            validate(thing, "1.31", strict=True)


def test_applying_them_twice_from_two_sides_leaves_no_conflict(objects: list[Object]) -> None:
    names = [(thing["kind"], thing["metadata"]["name"]) for thing in objects]
    assert len(names) == len(set(names))
    for thing in objects:
        assert "status" not in thing
        assert None not in walk(thing), thing["metadata"]["name"]
        assert not {"creationTimestamp", "managedFields"} & thing["metadata"].keys()
        assert thing["metadata"]["labels"]["app.kubernetes.io/part-of"] == "stepkit"


def test_all_is_in_the_one_namespace(objects: list[Object]) -> None:
    for thing in objects:
        where = None if thing["kind"] in {"Namespace", "ClusterRoleBinding"} else "stepkit"
        assert thing["metadata"].get("namespace") == where, thing["metadata"]["name"]
    assert list(named(objects, "Namespace")) == ["stepkit"]


def test_namespace_is_changed_in_one_place(tmp_path: Path) -> None:
    base = ROOT / "overlays/gpu-operator"
    (tmp_path / "kustomization.yaml").write_text(
        f"namespace: team-a\nresources: [{relative(base, tmp_path)}]\n"
    )

    objects = kustomize(tmp_path)

    assert list(named(objects, "Namespace")) == ["team-a"]
    assert {t["metadata"].get("namespace", "team-a") for t in objects} == {"team-a"}
    for binding in of_kind(objects, "RoleBinding", "ClusterRoleBinding"):
        assert [subject["namespace"] for subject in binding["subjects"]] == ["team-a"]


def test_storage_class_is_changed_in_one_place(tmp_path: Path) -> None:
    parts = [relative(ROOT / "components" / name, tmp_path) for name in ("cache", "storage")]
    (tmp_path / "kustomization.yaml").write_text(
        f"namespace: stepkit\nresources: [{relative(ROOT / 'overlays/minimal', tmp_path)}]\n"
        f"components: {parts}\n"
    )

    claims = named(kustomize(tmp_path), "PersistentVolumeClaim")

    assert claims.keys() == {"stepkit-cache", "stepkit-shared"}
    for claim in claims.values():
        validate(claim, "1.31", strict=True)
        assert claim["spec"]["storageClassName"] == "nfs-csi"
        assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
        assert claim["metadata"]["namespace"] == "stepkit"


def test_claims_take_the_default_class_of_the_cluster(objects: list[Object]) -> None:
    (claim,) = of_kind(objects, "PersistentVolumeClaim")

    assert claim["metadata"]["name"] == "stepkit-shared"
    assert "storageClassName" not in claim["spec"]


def test_service_accounts_and_claims_that_are_named_are_there(objects: list[Object]) -> None:
    accounts = named(objects, "ServiceAccount")
    assert accounts.keys() == {"stepkit-runner", "stepkit-triggers"}
    for binding in of_kind(objects, "RoleBinding", "ClusterRoleBinding"):
        assert {s["name"] for s in binding["subjects"]} <= accounts.keys()
    claims = named(objects, "PersistentVolumeClaim")
    for found in walk(objects):
        if isinstance(found, dict):
            assert found.get("serviceAccountName", "stepkit-runner") in accounts
            assert found.get("claimName", "stepkit-shared") in claims


def test_task_runs_have_no_rights_and_no_token(objects: list[Object]) -> None:
    runner = named(objects, "ServiceAccount")["stepkit-runner"]
    assert runner["automountServiceAccountToken"] is False
    bound = [b for b in of_kind(objects, "RoleBinding", "ClusterRoleBinding")
             if any(s["name"] == "stepkit-runner" for s in b["subjects"])]  # fmt: skip
    assert bound == []
    assert of_kind(objects, "Role", "ClusterRole", "Secret") == []


def test_event_listener_has_the_roles_of_tekton_triggers(objects: list[Object]) -> None:
    roles = {
        binding["kind"]: binding["roleRef"]["name"]
        for binding in of_kind(objects, "RoleBinding", "ClusterRoleBinding")
    }

    assert roles == {
        "RoleBinding": "tekton-triggers-eventlistener-roles",
        "ClusterRoleBinding": "tekton-triggers-eventlistener-clusterroles",
    }


def test_pods_must_keep_to_the_restricted_profile(objects: list[Object]) -> None:
    labels = named(objects, "Namespace")["stepkit"]["metadata"]["labels"]

    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"


def test_no_user_is_fixed_and_no_group_where_the_cluster_gives_one(
    request: pytest.FixtureRequest, objects: list[Object]
) -> None:
    keys = {key for found in walk(objects) if isinstance(found, dict) for key in found}

    fixed = keys & {"fsGroup", "runAsGroup", "runAsUser", "supplementalGroups"}
    assert fixed == (set() if "openshift" in request.node.name else {"fsGroup"})


def test_containers_get_requests_and_no_limits_that_they_did_not_ask_for(
    objects: list[Object],
) -> None:
    (limits,) = of_kind(objects, "LimitRange")
    (item,) = limits["spec"]["limits"]

    assert item.keys() == {"type", "defaultRequest"}  # a max would be the default of all
    assert item["type"] == "Container"


def test_minimal_needs_no_operator_and_counts_no_gpus() -> None:
    objects = overlay("minimal")

    assert of_kind(objects, "ResourceQuota", *CUSTOM) == []
    assert "nvidia.com" not in str(objects)


@pytest.mark.parametrize("name", ["gpu-operator", "openshift"])
def test_gpus_are_counted(name: str) -> None:
    (quota,) = of_kind(overlay(name), "ResourceQuota")

    requests = {"requests.nvidia.com/gpu", "requests.nvidia.com/gpu.shared"}
    assert quota["spec"]["hard"].keys() == requests
    assert all(isinstance(count, str) for count in quota["spec"]["hard"].values())


def test_route_leads_to_the_service_that_the_event_listener_gets() -> None:
    (route,) = of_kind(overlay("openshift"), "Route")

    assert route["spec"] == {
        "to": {"kind": "Service", "name": "el-stepkit-github"},
        "port": {"targetPort": "http-listener"},
        "tls": {"termination": "edge", "insecureEdgeTerminationPolicy": "None"},
    }
    assert list(named(triggers(), "EventListener")) == ["stepkit-github"]


def triggers() -> list[Object]:
    """Return what tasks/triggers has, without what only kustomize reads."""
    paths = sorted(set(TASKS.glob("triggers/*.yaml")) - set(TASKS.glob("**/kustomization.yaml")))
    return [thing for path in paths for thing in yaml.safe_load_all(path.read_text())]


def test_triggers_find_their_accounts_and_their_claim_here() -> None:
    objects = overlay("minimal")

    for found in walk(triggers()):
        if isinstance(found, dict):
            account = found.get("serviceAccountName", "stepkit-runner")
            assert account in named(objects, "ServiceAccount")
            claim = found.get("claimName", "stepkit-shared")
            assert claim in named(objects, "PersistentVolumeClaim")


def test_openshift_names_its_own_namespaces() -> None:
    text = str(of_kind(overlay("openshift"), "NetworkPolicy"))

    assert re.findall(r"kube-system|'tekton-pipelines'|'monitoring', 'prometheus'", text) == []
    assert {"openshift-dns", "openshift-pipelines"} <= set(re.findall(r"openshift-\w+", text))


def test_example_of_the_docs_builds(tmp_path: Path) -> None:
    text = (TASKS.parent / "docs/cluster.md").read_text()
    example = text.partition("beside a checkout of this repository:\n\n")[2].partition("\n\n| ")[0]
    place = relative(TASKS, tmp_path)
    (tmp_path / "kustomization.yaml").write_text(
        "\n".join(line[4:] for line in example.splitlines()).replace("stepkit/tasks", place)
    )

    objects = kustomize(tmp_path)

    (claim,) = of_kind(objects, "PersistentVolumeClaim")
    assert claim["spec"]["storageClassName"] == "our-nfs"
    (quota,) = of_kind(objects, "ResourceQuota")
    assert quota["spec"]["hard"]["requests.nvidia.com/mig-1g.10gb"] == "7"
    assert {t["metadata"].get("namespace", "team-a") for t in objects} == {"team-a"}
