"""The components of tasks/cluster build together, fit Kubernetes' schemas and have few rights."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.overlays import CUSTOM, ROOT, Object, kustomize, named, of_kind, overlay, relative
from kubernetes_validate.utils import validate

ADD = (
    "cache",
    "compute-quota",
    "gpu-quota",
    "image-pre-pull",
    "monitoring",
    "prune-runs",
    "storage",
)
REPLACE = ("older-gpu-label",)
REGISTRY = "registry.example.com/ci/stepkit"


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """What all components that add something make of the smallest overlay."""
    images = [{"name": "stepkit", "newName": REGISTRY}]
    directory = tmp_path_factory.mktemp("combined")
    return combined(directory, *ADD, namespace="team-a", images=images)


def combined(
    directory: Path, *components: str, base: str = "cluster/overlays/minimal", **more: Any
) -> list[Object]:
    """Return what kustomize makes of ``base`` in tasks/ with ``components``."""
    made = {
        "resources": [relative(ROOT.parent / base, directory)],
        "components": [relative(ROOT / "components" / name, directory) for name in components],
        **more,
    }
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(made))
    return kustomize(directory)


def pods(objects: list[Object]) -> dict[str, Object]:
    """Return the spec of the pods of each CronJob and DaemonSet, by its name."""
    jobs = {name: job["spec"]["jobTemplate"] for name, job in named(objects, "CronJob").items()}
    made = {**jobs, **named(objects, "DaemonSet")}
    return {name: thing["spec"]["template"]["spec"] for name, thing in made.items()}


def test_components_fit_the_schema_of_kubernetes_together(objects: list[Object]) -> None:
    there = {path.parent.name for path in ROOT.glob("components/*/kustomization.yaml")}
    assert there == {*ADD, *REPLACE}
    names = [(thing["kind"], thing["metadata"]["name"]) for thing in objects]
    assert len(names) == len(set(names))
    of_the_overlay = [(thing["kind"], thing["metadata"]["name"]) for thing in overlay("minimal")]
    for thing, name in zip(objects, names, strict=True):
        if thing["kind"] not in CUSTOM and name not in of_the_overlay:
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


def test_images_are_pulled_to_the_nodes_of_the_example_runs(objects: list[Object]) -> None:
    pod = pods(objects)["image-pre-pull"]
    run = yaml.safe_load((ROOT.parent / "pipelines/runs/notebook-ci.yaml").read_text())["spec"]
    template = run["taskRunTemplate"]["podTemplate"]

    assert pod["nodeSelector"] == template["nodeSelector"]
    assert pod["tolerations"] == template["tolerations"]
    images = {param["value"] for param in run["params"] if param["name"] in {"image", "cpu-image"}}
    pulled = {container["image"].replace(REGISTRY, "stepkit") for container in pod["containers"]}
    assert pulled == images
    for container in pod["containers"]:
        assert not [name for name in container["resources"]["limits"] if "nvidia" in name]
    environment = {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}
    assert environment in pod["containers"][0]["env"]


def test_images_are_named_in_one_place(objects: list[Object]) -> None:
    made = pods(objects)

    assert made.keys() == {"clean-workspace", "image-pre-pull", "prune-runs"}
    for pod in made.values():
        for container in pod["containers"]:
            assert container["image"].startswith(f"{REGISTRY}:")


@pytest.mark.parametrize("path", sorted(ROOT.parent.glob("pipelines/runs/notebook-*.yaml")))
def test_an_example_run_fits_into_the_quota_of_cpu_and_memory(
    objects: list[Object], path: Path
) -> None:
    hard = named(objects, "ResourceQuota")["stepkit-compute"]["spec"]["hard"]
    (run,) = yaml.safe_load_all(path.read_text())

    def amount(value: str) -> float:  # CPUs, or GiB
        return float(value.removesuffix("Gi"))

    asked = {"cpu": 0.0, "memory": 0.0}
    for spec in run["spec"].get("taskRunSpecs", []):
        for step in spec.get("stepSpecs", []):
            for name, value in step["computeResources"].get("requests", {}).items():
                asked[name] += amount(value)
    assert hard.keys() == {"requests.cpu", "requests.memory"}
    assert 0 < asked["cpu"] <= amount(hard["requests.cpu"])
    assert 0 < asked["memory"] <= amount(hard["requests.memory"])


def test_an_older_label_of_nodes_replaces_that_of_feature_discovery(tmp_path: Path) -> None:
    older = {"accelerator": "nvidia-tesla-gpu"}

    cluster = combined(tmp_path, "image-pre-pull", "older-gpu-label")
    triggers = combined(tmp_path, "older-gpu-label", base="triggers")

    assert pods(cluster)["image-pre-pull"]["nodeSelector"] == older
    (template,) = of_kind(triggers, "TriggerTemplate")
    (run,) = template["spec"]["resourcetemplates"]
    assert run["spec"]["taskRunTemplate"]["podTemplate"]["nodeSelector"] == older
    assert "nvidia.com/gpu.present" not in str([cluster, triggers])


def test_time_slices_are_four_to_a_gpu_in_the_namespace_of_the_operator() -> None:
    (config,) = kustomize(ROOT / "time-slicing")
    run = yaml.safe_load((ROOT.parent / "pipelines/runs/notebook-ci-time-sliced.yaml").read_text())
    limits = run["spec"]["taskRunSpecs"][0]["stepSpecs"][0]["computeResources"]["limits"]

    validate(config, "1.31", strict=True)
    assert config["metadata"]["namespace"] == "gpu-operator"
    (plugin,) = config["data"].values()
    assert yaml.safe_load(plugin) == {
        "version": "v1",
        "sharing": {
            "timeSlicing": {
                "renameByDefault": False,
                "failRequestsGreaterThanOne": True,
                "resources": [{"name": "nvidia.com/gpu", "replicas": 4}],
            }
        },
    }
    assert limits["nvidia.com/gpu"] == "1"
