"""Which connections the network policies allow, evaluated as a network plugin does."""

from typing import Any

import pytest
from cluster.overlays import Object, of_kind, overlay

# Labels of the pods, as Tekton Pipelines 1.15, Tekton Triggers and Kubernetes set them.
TASK_RUN = {
    "app.kubernetes.io/managed-by": "tekton-pipelines",
    "tekton.dev/pipelineRun": "notebook-ci-x7k2p",
    "tekton.dev/task": "execute-notebook",
    "tekton.dev/taskRun": "notebook-ci-x7k2p-execute-notebook",
}
LISTENER = {
    "app.kubernetes.io/managed-by": "EventListener",
    "app.kubernetes.io/part-of": "Triggers",
    "eventlistener": "stepkit-github",
}
CRON_JOB = {"batch.kubernetes.io/job-name": "clean-workspace-29000000"}
ANYWHERE = "anywhere"


def selects(selector: Object, labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {})
    for expression in selector.get("matchExpressions", []):
        value = labels.get(expression["key"])
        if expression["operator"] == "Exists":
            fits = value is not None
        else:
            assert expression["operator"] == "In"
            fits = value in expression["values"]
        if not fits:
            return False
    return all(labels.get(key) == value for key, value in wanted.items())


def reaches(peers: list[Object] | None, place: str) -> bool:
    if peers is None:  # no peers are all peers
        return True
    labels = {"kubernetes.io/metadata.name": place}
    return any("namespaceSelector" in p and selects(p["namespaceSelector"], labels) for p in peers)


def allowed(
    pod: dict[str, str],
    direction: str,
    place: str,
    port: int,
    *,
    name: str = "minimal",
    protocol: str = "TCP",
) -> bool:
    kind, end = ("Ingress", "from") if direction == "from" else ("Egress", "to")
    policies = [
        policy["spec"]
        for policy in of_kind(overlay(name), "NetworkPolicy")
        if selects(policy["spec"]["podSelector"], pod) and kind in policy["spec"]["policyTypes"]
    ]
    assert policies, "a pod that no policy selects may do all"
    rules: list[dict[str, Any]] = [r for p in policies for r in p.get(kind.lower(), [])]
    return any(
        reaches(rule.get(end), place)
        and {"protocol": protocol, "port": port} in rule.get("ports", [])
        for rule in rules
    )


@pytest.mark.parametrize("port", [22, 443])
def test_steps_reach_git(port: int) -> None:
    assert allowed(TASK_RUN, "to", ANYWHERE, port)


@pytest.mark.parametrize("pod", [TASK_RUN, LISTENER, CRON_JOB])
@pytest.mark.parametrize("protocol", ["UDP", "TCP"])
def test_all_reach_the_dns_of_the_cluster(pod: dict[str, str], protocol: str) -> None:
    assert allowed(pod, "to", "kube-system", 53, protocol=protocol)
    assert allowed(pod, "to", "openshift-dns", 5353, protocol=protocol, name="openshift")
    assert not allowed(pod, "to", ANYWHERE, 53, protocol=protocol)


@pytest.mark.parametrize("port", [443, 6443])
@pytest.mark.parametrize("name", ["minimal", "openshift"])
def test_event_listener_reaches_the_api_server(name: str, port: int) -> None:
    assert allowed(LISTENER, "to", ANYWHERE, port, name=name)


def test_event_listener_reaches_the_interceptors() -> None:
    assert allowed(LISTENER, "to", "tekton-pipelines", 8443)
    assert allowed(LISTENER, "to", "openshift-pipelines", 8443, name="openshift")
    assert not allowed(LISTENER, "to", ANYWHERE, 8443)


def test_web_hooks_reach_the_event_listener() -> None:
    assert allowed(LISTENER, "from", ANYWHERE, 8080)


def test_prometheus_alone_reads_the_metrics_of_the_event_listener() -> None:
    assert allowed(LISTENER, "from", "monitoring", 9000)
    assert not allowed(LISTENER, "from", "team-a", 9000)


@pytest.mark.parametrize("port", [80, 6443, 8080])
def test_steps_reach_no_metadata_service_and_no_kubelet(port: int) -> None:
    assert not allowed(TASK_RUN, "to", ANYWHERE, port)


@pytest.mark.parametrize("pod", [TASK_RUN, CRON_JOB])
def test_no_connection_reaches_a_step(pod: dict[str, str]) -> None:
    assert not any(allowed(pod, "from", ANYWHERE, port) for port in (80, 443, 8080, 8888, 9000))


def test_cleaning_needs_no_network() -> None:
    assert not any(allowed(CRON_JOB, "to", ANYWHERE, port) for port in (22, 80, 443, 6443))


def test_summarize_alone_reaches_the_pushgateway() -> None:
    summarize = {**TASK_RUN, "tekton.dev/task": "summarize"}

    assert allowed(summarize, "to", "monitoring", 9091, name="gpu-operator")
    assert not allowed(summarize, "to", "team-a", 9091, name="gpu-operator")
    assert not allowed(TASK_RUN, "to", "monitoring", 9091, name="gpu-operator")
    assert not allowed(summarize, "to", "monitoring", 9091, name="minimal")
