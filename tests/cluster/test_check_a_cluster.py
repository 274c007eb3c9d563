"""`make cluster-check`, against a kubectl that stands for a missing cluster."""

import json
import re
import sys
from pathlib import Path

import commands
import psutil
import pytest
import waiting
import yaml
from cluster.fake_cluster import (
    NAMESPACE,
    TASKS,
    TEKTON,
    FakeCluster,
    claim,
    healthy,
    installed,
    node,
    ready,
    storage_class,
    thing,
)

from tasks.cluster.tool import check, kubectl
from tasks.cluster.tool.run_namespace import SECRETS

FORBIDDEN = (
    'Error from server (Forbidden): nodes is forbidden: User "eve" cannot list resource "nodes"'
)


Finding = tuple[str, str, str]  # status, text and remedy


class CheckedCluster(FakeCluster):
    """A cluster, healthy at first, and what its check prints."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        super().__init__(directory)
        self.capsys = capsys
        healthy(self)

    def findings(self, exit_code: int, *args: str) -> dict[str, Finding]:
        """Check the cluster, which ends with ``exit_code``; return each check's finding."""
        assert check.main([*args, "--json"]) == exit_code
        shown = json.loads(self.capsys.readouterr().out)
        assert shown["schema"] == "stepkit.cluster-check/1"
        assert shown["exit_code"] == exit_code
        return {f["check"]: (f["status"], f["found"], f["remedy"]) for f in shown["findings"]}

    def refused(self, *args: str) -> str:
        """Return the one line of a cluster that cannot be asked."""
        assert check.main(list(args)) == 2
        printed = self.capsys.readouterr()
        assert printed.out == ""
        (line,) = printed.err.splitlines()
        start = "cluster-check: cannot ask the cluster: "
        assert line.startswith(start)
        return line.removeprefix(start)


@pytest.fixture
def cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CheckedCluster:
    cluster = CheckedCluster(tmp_path / "cluster", capsys)
    monkeypatch.setenv("PATH", f"{cluster.bin}:/usr/bin:/bin")
    return cluster


@pytest.mark.usefixtures("cluster")
def test_a_cluster_with_everything_is_ok(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([]) == 0

    printed = capsys.readouterr().out
    lines = {
        line[9:].split("  ")[0].strip(): line for line in printed.splitlines() if line[:1] != " "
    }
    assert lines["Kubernetes"].startswith("ok ")
    assert lines["Tekton Pipelines"].endswith("v1.15.0 in tekton-pipelines")
    assert lines["GPUs"].endswith("nvidia.com/gpu: 1 on 1 of 2 nodes (NVIDIA-L4)")
    assert lines["claim stepkit-shared"].endswith("Bound, ReadWriteOnce, standard, 100Gi")
    assert lines["secret git-token"].endswith("there, for private repositories")
    assert "todo" not in printed
    assert printed.endswith("all is well\n")


def test_it_only_reads_and_fetches_no_secret(
    cluster: CheckedCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    check.main([])

    calls = cluster.calls()
    assert {call.split()[0] for call in calls} == {"get", "version"}
    assert [c for c in calls if "secret" in c] == [f"get secrets {NAMESPACE} --no-headers"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("verb", ["apply", "delete", "patch", "create", "exec"])
def test_no_other_verb_is_ever_run(cluster: CheckedCluster, verb: str) -> None:
    with pytest.raises(ValueError, match=f"kubectl {verb} is more than reading"):
        kubectl.Kubectl().text(verb, "pods")

    assert cluster.calls() == []


def test_context_is_passed_to_kubectl(
    cluster: CheckedCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.answer("--context=staging version", {"serverVersion": {"gitVersion": "v1.31.2"}})

    check.main(["--context", "staging"])

    assert {call.split()[0] for call in cluster.calls()} == {"--context=staging"}
    assert "Kubernetes v1.31.2" in capsys.readouterr().out


def test_without_kubectl_nothing_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: CheckedCluster
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert cluster.refused() == "there is no kubectl on this machine: install it"


def test_an_unreachable_cluster_is_reported_in_one_line(cluster: CheckedCluster) -> None:
    words = "The connection to the server k8s:6443 was refused - did you specify the right host?"
    log = 'E1122 17:11:31.5 12803 memcache.go:265] "Unhandled Error"'
    cluster.refuse("version", f"{log}\n{words}\n")

    assert cluster.refused() == words
    assert cluster.calls() == ["version --output=json"]


@pytest.mark.parametrize(
    "words",
    [
        "error: You must be logged in to the server (Unauthorized)",
        'error: context "nope" does not exist',
        "Unable to connect to the server: dial tcp: lookup k8s.example: no such host",
        'Unable to connect to the server: getting credentials: exec: executable "login" not found',
        "Unable to connect to the server: x509: unknown authority",
    ],
)
def test_a_cluster_that_refuses_the_user_ends_the_check_at_any_point(
    cluster: CheckedCluster, words: str
) -> None:
    cluster.refuse("get nodes", words)

    assert cluster.refused() == words


@pytest.mark.slow
def test_a_kubectl_that_never_answers_is_ended_with_its_children(
    cluster: CheckedCluster, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    cluster.program(f"#!/bin/sh\nsleep 3600 &\necho $! > {pid}.new\nmv {pid}.new {pid}\nwait\n")

    assert cluster.refused("--timeout", "3") == "kubectl gave no answer in 3 seconds"
    child = int(pid.read_text())
    waiting.until(lambda: has_ended(child))


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_forbidden_question_is_reported_and_the_rest_is_asked(cluster: CheckedCluster) -> None:
    cluster.refuse("get nodes", FORBIDDEN)

    shown = cluster.findings(2)

    remedy = "ask somebody who may read this"
    assert shown["GPUs"] == ("unknown", f"cannot tell: {FORBIDDEN}", remedy)
    assert shown["Tasks"][0] == "ok"


def test_something_to_do_counts_more_than_something_unknown(cluster: CheckedCluster) -> None:
    cluster.refuse("get nodes", FORBIDDEN)
    cluster.answer(f"get persistentvolumeclaims {NAMESPACE}", [])

    shown = cluster.findings(1)

    assert shown["claim stepkit-shared"][:2] == ("todo", "not there")


def test_a_server_that_answers_with_an_error_ends_one_check_only(cluster: CheckedCluster) -> None:
    words = "Error from server (Timeout): the server was unable to return a response: i/o timeout"
    cluster.refuse("get storageclasses", words)

    shown = cluster.findings(2)

    assert shown["storage classes"][:2] == ("unknown", f"cannot tell: {words}")


def test_a_kubectl_that_prints_no_json_is_reported(cluster: CheckedCluster) -> None:
    cluster.answer("get nodes --output=json", "<html>a proxy says hello</html>")

    shown = cluster.findings(2)

    assert shown["GPUs"][1] == "cannot tell: kubectl get nodes printed no JSON"


def test_a_cluster_without_tekton_is_reported_with_a_remedy(cluster: CheckedCluster) -> None:
    missing = 'error: the server doesn\'t have a resource type "{}"'
    for kind in ("pipelines", "triggers"):
        absent = 'Error from server (NotFound): namespaces "tekton-pipelines" not found'
        cluster.refuse(f"get configmap {kind}-info {TEKTON}", absent)
    for kind in ("tasks", "pipelines"):
        cluster.refuse(f"get {kind}.tekton.dev {NAMESPACE}", missing.format(kind))

    shown = cluster.findings(1)

    nowhere = "not installed in tekton-pipelines or openshift-pipelines"
    assert shown["Tekton Pipelines"][:2] == ("todo", nowhere)
    assert shown["Tasks"][:2] == ("todo", "Tekton's kinds are not installed")
    assert "Tekton Triggers" not in shown


def test_tekton_of_openshift_is_found_in_its_namespace(cluster: CheckedCluster) -> None:
    cluster.refuse(f"get configmap pipelines-info {TEKTON}", "Error from server (NotFound): no")
    place = "--namespace=openshift-pipelines"
    cluster.answer(f"get configmap pipelines-info {place}", {"data": {"version": "v1.6.0"}})
    cluster.answer(f"get deployments {place}", ready("tekton-pipelines-controller"))
    cluster.answer(f"get configmap feature-flags {place}", {"data": {}})
    cluster.answer(f"get configmap config-defaults {place}", {"data": {}})

    shown = cluster.findings(1)  # the flag that the restricted profile needs

    assert shown["Tekton Pipelines"][:2] == ("ok", "v1.6.0 in openshift-pipelines")
    assert shown["Tekton Triggers"] == ("note", "not installed", "only the web hook needs it")
    assert "-n openshift-pipelines" in shown["flag set-security-context"][2]


@pytest.mark.parametrize("version", ["v0.68.1", "v0.9.0"])
def test_a_tekton_that_is_too_old_is_reported(cluster: CheckedCluster, version: str) -> None:
    cluster.answer(f"get configmap pipelines-info {TEKTON}", {"data": {"version": version}})

    shown = cluster.findings(1)

    assert shown["Tekton Pipelines"][0] == "todo"
    assert "1.0 or newer" in shown["Tekton Pipelines"][2]


def test_a_kubernetes_that_is_too_old_is_reported(cluster: CheckedCluster) -> None:
    cluster.answer("version", {"serverVersion": {"gitVersion": "v1.27.3+k3s1"}})

    shown = cluster.findings(1)

    assert shown["Kubernetes"][2] == "Tekton needs 1.28 or newer"


def test_a_controller_that_does_not_run_is_reported(cluster: CheckedCluster) -> None:
    webhook = thing("tekton-pipelines-webhook", status={"unavailableReplicas": 1})
    controllers = ready("tekton-pipelines-controller", "tekton-triggers-controller")
    cluster.answer(f"get deployments {TEKTON}", [webhook, *controllers])

    shown = cluster.findings(1)

    stopped = "v1.15.0 in tekton-pipelines, not ready: tekton-pipelines-webhook"
    assert shown["Tekton Pipelines"][:2] == ("todo", stopped)
    assert shown["Tekton Triggers"][0] == "ok"


@pytest.mark.parametrize(
    ("flag", "value", "status", "words"),
    [
        ("coschedule", "workspaces", "ok", "a Task may mount one claim"),
        ("coschedule", "disabled", "note", "a Task may mount several claims"),
        ("set-security-context", "false", "todo", "refuses Tekton's own containers"),
        ("disable-creds-init", "true", "note", "secrets of service accounts are not used"),
        ("results-from", "sidecar-logs", "note", "sidecar-logs"),
        ("enable-api-fields", "alpha", "note", "needs more than stable"),
        ("enable-api-fields", "stable", "ok", "stable"),
        ("keep-pod-on-cancel", "true", "note", "killed before it can save its notebook"),
    ],
)
def test_flags_of_tekton_that_matter_are_judged(
    cluster: CheckedCluster, flag: str, value: str, status: str, words: str
) -> None:
    flags = {"set-security-context": "true", flag: value}
    cluster.answer(f"get configmap feature-flags {TEKTON}", {"data": flags})

    shown = cluster.findings(1 if status == "todo" else 0)

    assert shown[f"flag {flag}"][0] == status
    assert words in shown[f"flag {flag}"][1]


def test_a_flag_that_is_not_set_has_the_default_of_tekton(cluster: CheckedCluster) -> None:
    cluster.answer(f"get configmap feature-flags {TEKTON}", {})

    shown = cluster.findings(1)

    assert shown["flag set-security-context"][1].startswith("false: ")
    assert shown["default-timeout-minutes"][1] == "60"


def test_no_gpu_needs_a_remedy_unless_none_is_wanted(cluster: CheckedCluster) -> None:
    cluster.answer("get nodes", [node("kind-control-plane")])
    cluster.refuse(
        "get clusterpolicies.nvidia.com", "error: the server doesn't have a resource type"
    )

    shown = cluster.findings(1)
    assert shown["GPUs"][:2] == ("todo", "none on any of 1 nodes")
    assert shown["GPU operator"][:2] == ("note", "not installed")

    assert cluster.findings(0, "--gpu", "optional")["GPUs"][:2] == ("note", "none")

    asked = len(cluster.calls())
    assert "GPUs" not in cluster.findings(0, "--gpu", "none")
    assert not any("nodes" in call for call in cluster.calls()[asked:])


def test_a_node_that_hides_its_gpus_is_named(cluster: CheckedCluster) -> None:
    cluster.answer("get nodes", [node("gpu-1", labels={"nvidia.com/gpu.present": "true"}, gpu=0)])

    shown = cluster.findings(1, "--gpu", "optional")

    assert shown["GPUs"][:2] == ("todo", "gpu-1 have GPUs, and offer none")


def test_slices_shares_and_taints_of_gpus_are_reported(cluster: CheckedCluster) -> None:
    sliced = {"nvidia.com/gpu.replicas": "4", "nvidia.com/gpu.sharing-strategy": "time-slicing"}
    taint = {"key": "nvidia.com/gpu", "effect": "NoSchedule"}
    mig = thing("gpu-2", spec={}, status={"allocatable": {"nvidia.com/mig-1g.10gb": "7"}})
    cluster.answer("get nodes", [node("gpu-1", labels=sliced, taints=[taint], gpu=4), mig])

    shown = cluster.findings(0)

    assert shown["GPUs"][1] == "nvidia.com/gpu: 4, nvidia.com/mig-1g.10gb: 7 on 2 of 2 nodes"
    assert shown["GPU sharing"][:2] == ("note", "gpu-1: 4 to a GPU, by time-slicing")
    assert shown["GPU taints"][:2] == ("note", "nvidia.com/gpu:NoSchedule on 1 nodes with GPUs")


@pytest.mark.parametrize(
    ("labels", "remedy"),
    [
        ({"accelerator": "nvidia-tesla-gpu"}, "they have accelerator=nvidia-tesla-gpu: docs/"),
        ({"accelerator": "other"}, "install GPU feature discovery, or change nodeSelector"),
    ],
)
def test_nodes_with_gpus_that_no_example_run_selects_are_reported(
    cluster: CheckedCluster, labels: dict[str, str], remedy: str
) -> None:
    cluster.answer("get nodes", [node("gpu-1", labels=labels, gpu=1)])

    status, found, advice = cluster.findings(0)["GPU labels"]

    assert status == "note"
    assert found == "no node with GPUs has nvidia.com/gpu.present=true, which runs select"
    assert advice.startswith(remedy)


def test_one_node_that_runs_select_is_enough(cluster: CheckedCluster) -> None:
    labels = {"nvidia.com/gpu.present": "true"}
    cluster.answer("get nodes", [node("gpu-1", labels=labels, gpu=1), node("gpu-2", gpu=1)])

    assert "GPU labels" not in cluster.findings(0)


def test_a_gpu_operator_that_is_not_ready_is_reported(cluster: CheckedCluster) -> None:
    policy = thing("cluster-policy", status={"state": "notReady"})
    cluster.answer("get clusterpolicies.nvidia.com", [policy])

    assert cluster.findings(1)["GPU operator"][:2] == ("todo", "cluster-policy: notReady")


@pytest.mark.parametrize(
    ("classes", "status", "words"),
    [
        ([], "todo", "none; no default"),
        ([storage_class("a", "x")], "todo", "a; no default"),
        (
            [storage_class("a", "x", default=True), storage_class("b", "y", default=True)],
            "note",
            "a, b; defaults: a, b",
        ),
    ],
)
def test_default_storage_class_is_looked_for(
    cluster: CheckedCluster,
    classes: list[dict[str, object]],
    status: str,
    words: str,
) -> None:
    cluster.answer("get storageclasses", classes)

    shown = cluster.findings(1 if status == "todo" else 0)

    assert shown["storage classes"][:2] == (status, words)
    assert "a guess" in shown["ReadWriteMany"][1]


def test_a_class_that_may_share_volumes_is_called_a_guess(cluster: CheckedCluster) -> None:
    cluster.answer("get storageclasses", [storage_class("nfs", "nfs.csi.k8s.io", default=True)])

    shown = cluster.findings(0)

    assert shown["ReadWriteMany"][1] == "nfs: a guess, by the name of the driver"


@pytest.mark.parametrize(
    ("phase", "status"), [("Bound", "ok"), ("Pending", "note"), ("Lost", "todo")]
)
def test_claim_is_judged_by_its_phase(cluster: CheckedCluster, phase: str, status: str) -> None:
    cluster.answer(f"get persistentvolumeclaims {NAMESPACE}", [claim(phase)])

    shown = cluster.findings(1 if status == "todo" else 0)

    assert shown["claim stepkit-shared"][0] == status


def test_a_namespace_that_is_not_there_ends_the_questions_about_it(cluster: CheckedCluster) -> None:
    shown = cluster.findings(1, "--namespace", "team-b")

    assert shown["namespace"][:2] == ("todo", "there is no team-b")
    assert "Tasks" not in shown


def test_missing_accounts_and_tasks_of_other_versions_are_named(
    cluster: CheckedCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.answer(f"get serviceaccounts {NAMESPACE}", [thing("default")])
    tasks = installed(TASKS)[1:]
    tasks[0]["metadata"]["labels"]["app.kubernetes.io/version"] = "0.0.9"
    cluster.answer(f"get tasks.tekton.dev {NAMESPACE}", tasks)
    cluster.answer(f"get secrets {NAMESPACE} --no-headers", "")
    name = tasks[0]["metadata"]["name"]

    code = check.main([])

    printed = capsys.readouterr().out
    assert code == 1
    assert "missing: stepkit-runner, stepkit-triggers" in printed
    assert f"missing: {installed(TASKS)[0]['metadata']['name']}\n" in printed
    assert f"{name} 0.0.9" in printed
    assert "-> kubectl apply --namespace=stepkit -f tasks\n" in printed
    assert re.search(r"secret git-token +not there: needed for private repositories alone", printed)
    assert printed.endswith("something must be done: see the lines with todo\n")


def test_secrets_it_looks_for_are_those_that_the_yaml_asks_for() -> None:
    asked = set()
    for path in TASKS.glob("*.yaml"):
        spec = yaml.safe_load(path.read_text()).get("spec", {"params": [], "steps": []})
        defaults = {f"$(params.{p['name']})": p.get("default") for p in spec["params"]}
        env = [entry for step in spec["steps"] for entry in step.get("env", [])]
        keys = [entry["valueFrom"]["secretKeyRef"] for entry in env if "valueFrom" in entry]
        asked |= {defaults.get(key["name"], key["name"]) for key in keys}
    listener = (TASKS / "triggers/event-listener.yaml").read_text()
    asked |= set(re.findall(r"secretName: (\S+)", listener))

    assert asked == SECRETS.keys()


def test_make_runs_it_with_python_and_kubectl_alone(cluster: CheckedCluster) -> None:
    options = (f"PYTHON={sys.executable}", "CLUSTER_ARGS=--gpu none")
    env = {"PATH": f"{cluster.bin}:/usr/bin:/bin"}
    done = commands.run("make", "cluster-check", *options, cwd=TASKS.parent, env=env)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("all is well\n")
