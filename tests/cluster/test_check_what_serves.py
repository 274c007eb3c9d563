"""`make cluster-check` looks at Tekton's Dashboard and at the EventListeners of web hooks."""

import re
from typing import Any

import pytest
from cluster.fake_cluster import NAMESPACE, TEKTON, FakeCluster, ready, thing

from tasks.cluster.tool import check, event_listeners, tekton_dashboard
from tasks.cluster.tool.kubectl import Kubectl

DASHBOARD = "--selector=app.kubernetes.io/part-of=tekton-dashboard"
LABELS = {"app.kubernetes.io/part-of": "tekton-dashboard", "app": "tekton-dashboard"}
LISTENER = "--selector=eventlistener=stepkit-github"


def pod(name: str, labels: dict[str, str] | None = None, **container: Any) -> dict[str, Any]:
    status = {"phase": "Running", "containerStatuses": [{"ready": True, **container}]}
    return thing(name, metadata={"labels": labels or {}}, status=status)


def crashing(name: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    return pod(name, labels, ready=False, restartCount=8, state=state)


def policy(name: str, selected: dict[str, str], *egress: dict[str, Any]) -> dict[str, Any]:
    spec = {"podSelector": {"matchLabels": selected}, "policyTypes": ["Egress"], "egress": egress}
    return thing(name, spec=spec)


def of_dashboard() -> tuple[str, str, str]:
    (found,) = tekton_dashboard.findings(Kubectl(), "tekton-pipelines")
    return found.status.value, found.found, found.remedy


def of_listeners() -> tuple[str, str, str]:
    (found,) = event_listeners.findings(Kubectl(), "stepkit")
    return found.status.value, found.found, found.remedy


@pytest.fixture
def dashboard(cluster: FakeCluster) -> FakeCluster:
    """A healthy cluster with a healthy Dashboard."""
    cluster.answer(f"get deployment tekton-dashboard {TEKTON}", ready("tekton-dashboard")[0])
    cluster.answer(f"get pods {TEKTON} {DASHBOARD}", [pod("tekton-dashboard-1", LABELS)])
    service = thing("tekton-dashboard", spec={"selector": {"app": "tekton-dashboard"}})
    cluster.answer(f"get service tekton-dashboard {TEKTON}", service)
    cluster.answer(f"get networkpolicies {TEKTON}", [])
    return cluster


@pytest.mark.usefixtures("dashboard")
def test_a_dashboard_that_is_ready_comes_with_the_way_to_it() -> None:
    status, found, _ = of_dashboard()

    assert status == "ok"
    assert found.endswith("kubectl port-forward -n tekton-pipelines service/tekton-dashboard 9097")


@pytest.mark.usefixtures("cluster")
def test_a_cluster_without_a_dashboard_needs_none() -> None:
    found = of_dashboard()

    assert found == ("note", "not in tekton-pipelines", "nothing here needs it")


def test_a_dashboard_that_crashes_is_reported_with_its_pod(dashboard: FakeCluster) -> None:
    evicted = thing("tekton-dashboard-0", status={"phase": "Failed"})
    pods = [evicted, crashing("tekton-dashboard-1", LABELS)]
    dashboard.answer(f"get pods {TEKTON} {DASHBOARD}", pods)

    status, found, remedy = of_dashboard()

    assert (status, found) == ("todo", "tekton-dashboard-1: CrashLoopBackOff, 8 restarts")
    assert remedy.startswith("kubectl logs -n tekton-pipelines deployment/tekton-dashboard")


def test_a_pod_that_finds_no_node_is_reported_with_the_reason(dashboard: FakeCluster) -> None:
    scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    waits = thing("tekton-dashboard-1", status={"phase": "Pending", "conditions": [scheduled]})
    dashboard.answer(f"get pods {TEKTON} {DASHBOARD}", [waits])

    assert of_dashboard()[1] == "tekton-dashboard-1: Unschedulable"


def test_a_service_that_leads_to_no_pod_is_reported(dashboard: FakeCluster) -> None:
    other = thing("tekton-dashboard", spec={"selector": {"app": "nginx"}})
    dashboard.answer(f"get service tekton-dashboard {TEKTON}", other)
    words = "its Service tekton-dashboard selects none of its pods"
    assert of_dashboard()[1] == words

    dashboard.refuse(f"get service tekton-dashboard {TEKTON}", "Error from server (NotFound): no")
    words = "there is no Service tekton-dashboard"
    assert of_dashboard()[1] == words


PODS_ALONE: dict[str, Any] = {"to": [{"namespaceSelector": {}}]}
ANYWHERE_443 = {"ports": [{"protocol": "TCP", "port": 443}]}


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [PODS_ALONE],
        [{"ports": [{"protocol": "UDP", "port": 443}]}],
        [{"ports": [{"port": 80}, {"port": "https"}]}],
    ],
    ids=["none", "to pods alone", "UDP", "other ports"],
)
def test_a_policy_that_keeps_the_dashboard_from_the_api_server_is_why_it_keeps_loading(
    dashboard: FakeCluster, rules: list[dict[str, Any]]
) -> None:
    other = policy("others", {"app": "nginx"}, ANYWHERE_443)
    dashboard.answer(f"get networkpolicies {TEKTON}", [policy("dashboard", LABELS, *rules), other])

    status, found, remedy = of_dashboard()

    assert (status, found) == (
        "todo",
        "it keeps loading: it reaches no API server, by the policies dashboard",
    )
    assert "egress to ports 443 and 6443 without a `to`" in remedy


@pytest.mark.parametrize(
    "rule",
    [
        {},
        ANYWHERE_443,
        {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 6443}]},
        {"ports": [{"port": 1, "endPort": 1023}]},
    ],
    ids=["all", "port 443", "addresses", "a range"],
)
def test_policies_add_up_and_one_way_to_the_api_server_is_enough(
    dashboard: FakeCluster, rule: dict[str, Any]
) -> None:
    policies = [policy("strict", {}, PODS_ALONE), policy("api", LABELS, rule)]
    dashboard.answer(f"get networkpolicies {TEKTON}", policies)

    assert of_dashboard()[0] == "ok"


def test_the_check_asks_for_both(
    dashboard: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    dashboard.answer(f"get eventlisteners.triggers.tekton.dev {NAMESPACE}", [listener()])
    dashboard.answer(f"get pods {NAMESPACE} {LISTENER}", [crashing("el-stepkit-github-1")])

    assert check.main([]) == 1

    printed = capsys.readouterr().out
    assert re.search("^ok +Tekton Dashboard +ready", printed, re.MULTILINE)
    assert re.search("^todo +EventListener stepkit-github +not ready", printed, re.MULTILINE)


def listener(ready_: str = "True", message: str = "") -> dict[str, Any]:
    condition = {"type": "Available", "status": ready_, "message": message}
    return thing("stepkit-github", status={"conditions": [condition]})


def test_an_event_listener_that_is_ready_is_ok(cluster: FakeCluster) -> None:
    cluster.answer(f"get eventlisteners.triggers.tekton.dev {NAMESPACE}", [listener()])
    cluster.answer(f"get pods {NAMESPACE} {LISTENER}", [pod("el-stepkit-github-1")])

    assert of_listeners() == ("ok", "ready", "")


def test_an_event_listener_that_crashes_is_reported_with_its_log(
    cluster: FakeCluster,
) -> None:
    waits = listener("False", "Deployment does not have minimum availability.")
    cluster.answer(f"get eventlisteners.triggers.tekton.dev {NAMESPACE}", [waits])
    cluster.answer(f"get pods {NAMESPACE} {LISTENER}", [crashing("el-stepkit-github-1")])

    status, found, remedy = of_listeners()

    assert status == "todo"
    assert found == (
        "not ready: el-stepkit-github-1: CrashLoopBackOff, 8 restarts; "
        "Available: Deployment does not have minimum availability."
    )
    assert remedy.startswith(f"kubectl logs {NAMESPACE} {LISTENER} --tail=20; `forbidden` there")


def test_an_event_listener_that_no_controller_saw_is_reported(
    cluster: FakeCluster,
) -> None:
    name = f"get eventlisteners.triggers.tekton.dev {NAMESPACE}"
    cluster.answer(name, [thing("stepkit-github")])
    cluster.answer(f"get pods {NAMESPACE} {LISTENER}", [])
    found = of_listeners()[1]
    assert found == "not ready: Tekton Triggers has not looked at it yet"

    cluster.answer(name, [])
    assert of_listeners()[:2] == ("note", "none")
