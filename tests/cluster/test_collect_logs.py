"""`make cluster-logs`, against a kubectl that stands for a missing cluster."""

import json
import tarfile
from pathlib import Path

import pytest
from cluster.fake_cluster import NAMESPACE, TEKTON, FakeCluster, thing

from tasks.cluster.tool import logs
from tasks.cluster.tool.scrub import Scrubber

TOKEN = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
WORD = "correct-horse-battery"
LOG = f"--tail={logs.LINES} --timestamps"


def run(cluster: FakeCluster, name: str, secret: str) -> None:
    """Add a PipelineRun with one TaskRun, one pod and two containers."""
    selector = f"{NAMESPACE} --selector=tekton.dev/pipelineRun={name}"
    cluster.answer(f"get taskruns.tekton.dev {selector}", [thing(f"{name}-execute-notebook")])
    env = [
        {"name": "API_TOKEN", "value": secret},
        {"name": "GIT_TOKEN", "valueFrom": {"secretKeyRef": {"name": "git-token", "key": "token"}}},
        {"name": "HOME", "value": "/tekton/home"},
    ]
    containers = [{"name": "step-execute-notebook", "env": env}]
    spec = {"initContainers": [{"name": "prepare"}], "containers": containers}
    cluster.answer(f"get pods {selector}", [thing(f"{name}-pod", spec=spec)])
    described = f"Name: {name}-pod\nAPI_TOKEN:  {WORD}\n"
    cluster.answer(f"describe pod {name}-pod {NAMESPACE}", described)
    for container, text in (
        ("prepare", "copied\n"),
        ("step-execute-notebook", f"cloning https://me:{TOKEN}@git.example/x\nusing {WORD} here\n"),
    ):
        cluster.answer(f"logs {name}-pod {NAMESPACE} --container={container} {LOG}", text)


def list_runs(cluster: FakeCluster, **created: str) -> None:
    """Answer with PipelineRuns, notebook-ci-NAME, that were created at these times."""
    params = [
        {"name": "notebooks-url", "value": f"https://me:{TOKEN}@git.example/x"},
        {"name": "token-secret", "value": "team-a-git"},
        {"name": "wandb-api-key", "value": "0123456789abcdef"},
    ]
    last = json.dumps({"env": [{"name": "PASSWORD", "value": "in-an-annotation"}]})
    usual = {
        "managedFields": [{"manager": "kubectl"}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": last},
    }
    spec = {"params": params, "workspaces": [{"secret": {"secretName": "git-token"}}]}
    runs = [
        thing(f"notebook-ci-{name}", metadata={"creationTimestamp": at, **usual}, spec=spec)
        for name, at in created.items()
    ]
    cluster.answer(f"get pipelineruns.tekton.dev {NAMESPACE}", runs)


@pytest.fixture
def two_runs(cluster: FakeCluster) -> FakeCluster:
    run(cluster, "notebook-ci-b", secret="something-else")
    run(cluster, "notebook-ci-a", secret=WORD)
    list_runs(cluster, a="2026-11-22T11:00:00Z", b="2026-11-22T10:00:00Z")
    cluster.answer(f"get secrets {NAMESPACE} --no-headers", "team-a-git   Opaque   1   3d\n")
    cluster.answer(f"get events {NAMESPACE} --sort-by=.lastTimestamp --output=wide", "Pulled\n")
    kinds = "persistentvolumeclaims,resourcequotas,limitranges,networkpolicies"
    described = "Name: stepkit-shared\nVolumes:\n  SecretName: x-y\n"
    cluster.answer(f"describe {kinds} {NAMESPACE}", described)
    listener = "--selector=app.kubernetes.io/managed-by=EventListener"
    cluster.answer(f"logs {NAMESPACE} {listener} --prefix {LOG}", "listening\n")
    cluster.answer(
        f"logs deployment/tekton-pipelines-controller {TEKTON} {LOG}",
        "reconciled stepkit/notebook-ci-a\nreconciled team-b/secret-plans\n",
    )
    return cluster


def bundle(tmp_path: Path, *args: str) -> dict[str, str]:
    """Return the files of the archive by their names, without the directory they are all in."""
    path = tmp_path / "logs.tar.gz"
    assert logs.main(["--output", str(path), *args]) == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one for one in tmp_path.iterdir() if one.name.startswith(".")] == []
    with tarfile.open(path) as archive:
        files = {member.name: archive.extractfile(member) for member in archive}
        return {
            name.removeprefix("stepkit-cluster-logs/"): file.read().decode()
            for name, file in files.items()
            if file
        }


def test_archive_has_runs_pods_logs_events_and_versions(
    two_runs: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = bundle(tmp_path)

    assert files.keys() >= {
        *("CONTENTS.txt", "versions.json", "check.txt", "check.json", "events.txt", "nodes.json"),
        *("namespace.txt", "service-accounts.json", "event-listener.log"),
        *("tekton/feature-flags.json", "tekton/config-defaults.json", "tekton/controller.log"),
    }
    for name in ("notebook-ci-a", "notebook-ci-b"):
        at = f"runs/{name}"
        assert json.loads(files[f"{at}/pipelinerun.json"])["metadata"]["name"] == name
        assert json.loads(files[f"{at}/taskruns.json"])["items"]
        assert files[f"{at}/{name}-pod/describe.txt"].startswith(f"Name: {name}-pod")
        assert files[f"{at}/{name}-pod/prepare.log"] == "copied\n"
        assert "cloning" in files[f"{at}/{name}-pod/step-execute-notebook.log"]
    assert set(files["CONTENTS.txt"].splitlines()[3:]) == files.keys() - {"CONTENTS.txt"}
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path}/logs.tar.gz\n"
    assert printed.err == "cluster-logs: look through it before you pass it on\n"
    assert {call.split()[0] for call in two_runs.calls()} == {"describe", "get", "logs", "version"}


def test_the_archive_holds_no_secrets(two_runs: FakeCluster, tmp_path: Path) -> None:
    files = bundle(tmp_path)

    whole = "\n".join(files.values())
    for secret in (TOKEN, WORD, "0123456789abcdef", "in-an-annotation", "//me:"):
        assert secret not in whole
    # The log of the older run was read before it was known what is a secret.
    log = files["runs/notebook-ci-b/notebook-ci-b-pod/step-execute-notebook.log"]
    assert log == "cloning https://***@git.example/x\nusing *** here\n"
    secrets = [call for call in two_runs.calls() if "secrets" in call]
    assert set(secrets) == {f"get secrets {NAMESPACE} --no-headers"}
    assert not any("serviceaccount" in call for call in two_runs.calls() if "describe" in call)


@pytest.mark.usefixtures("two_runs")
def test_names_of_secrets_stay_readable(tmp_path: Path) -> None:
    files = bundle(tmp_path)

    made = json.loads(files["runs/notebook-ci-a/pipelinerun.json"])
    assert made["spec"]["params"][1] == {"name": "token-secret", "value": "team-a-git"}
    assert made["spec"]["workspaces"] == [{"secret": {"secretName": "git-token"}}]
    (pod,) = json.loads(files["runs/notebook-ci-a/pods.json"])["items"]
    env = pod["spec"]["containers"][0]["env"]
    assert env[0] == {"name": "API_TOKEN", "value": "***"}
    assert env[1]["valueFrom"] == {"secretKeyRef": {"name": "git-token", "key": "token"}}
    assert env[2]["value"] == "/tekton/home"
    assert "SecretName: x-y" in files["namespace.txt"]


@pytest.mark.usefixtures("two_runs")
def test_runs_of_other_namespaces_are_left_out(tmp_path: Path) -> None:
    assert bundle(tmp_path)["tekton/controller.log"] == "reconciled stepkit/notebook-ci-a\n"


@pytest.mark.usefixtures("two_runs")
def test_last_takes_the_newest_runs(tmp_path: Path) -> None:
    files = bundle(tmp_path, "--last", "1")

    assert {name.split("/")[1] for name in files if name.startswith("runs/")} == {"notebook-ci-a"}


@pytest.mark.usefixtures("two_runs")
def test_a_run_is_taken_by_its_name(tmp_path: Path) -> None:
    files = bundle(tmp_path, "--run", "notebook-ci-b")

    assert {name.split("/")[1] for name in files if name.startswith("runs/")} == {"notebook-ci-b"}


@pytest.mark.usefixtures("two_runs")
def test_a_run_that_is_not_there_leaves_no_archive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "logs.tar.gz"

    assert logs.main(["--run", "notebook-ci-z", "--output", str(path)]) == 1

    assert capsys.readouterr().err == (
        "cluster-logs: there is no PipelineRun notebook-ci-z;"
        " the newest are: notebook-ci-a, notebook-ci-b\n"
    )
    assert not path.exists()


def test_what_is_refused_is_listed_and_the_rest_is_there(
    two_runs: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = 'Error from server (Forbidden): pods "notebook-ci-a-pod" is forbidden'
    pod = "notebook-ci-a-pod"
    two_runs.refuse(f"logs {pod} {NAMESPACE} --container=prepare {LOG}", words)

    files = bundle(tmp_path)

    name = f"runs/notebook-ci-a/{pod}/prepare.log"
    assert name not in files
    assert f"{name}: not there: {words}" in files["CONTENTS.txt"]
    assert f"cluster-logs: without {name}: {words}\n" in capsys.readouterr().err
    assert f"runs/notebook-ci-a/{pod}/step-execute-notebook.log" in files


def test_a_cluster_without_tekton_still_has_events_and_findings(
    two_runs: FakeCluster, tmp_path: Path
) -> None:
    words = 'error: the server doesn\'t have a resource type "pipelineruns"'
    two_runs.refuse(f"get pipelineruns.tekton.dev {NAMESPACE}", words)
    two_runs.refuse(f"get configmap pipelines-info {TEKTON}", "Error from server (NotFound): no")

    files = bundle(tmp_path)

    assert f"runs: not there: {words}" in files["CONTENTS.txt"]
    assert files["events.txt"] == "Pulled\n"
    assert "not installed in tekton-pipelines" in files["check.txt"]
    assert not any(name.startswith(("runs/", "tekton/")) for name in files)


def test_an_unreachable_cluster_leaves_no_archive(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "The connection to the server k8s:8080 was refused - did you specify the right host?"
    cluster.refuse("version", words)

    assert logs.main(["--output", str(tmp_path / "logs.tar.gz")]) == 2

    assert capsys.readouterr().err == f"cluster-logs: cannot ask the cluster: {words}\n"
    assert not (tmp_path / "logs.tar.gz").exists()


def test_a_place_that_cannot_be_written_is_reported_before_anything_is_asked(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "nowhere/logs.tar.gz"

    assert logs.main(["--output", str(path)]) == 2

    message = f"cluster-logs: cannot write {path}: there is no such directory\n"
    assert capsys.readouterr().err == message
    assert cluster.calls() == []


@pytest.mark.usefixtures("two_runs")
def test_an_archive_that_cannot_be_finished_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "taken"
    path.mkdir()

    assert logs.main(["--output", str(path)]) == 2

    assert "cluster-logs: cannot write" in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdefgh12345678",
        "github_pat_11ABCDEFG0abcdefghij_klmnop",
        "glpat-abcdefghijklmnopqrst",
        "AKIAABCDEFGHIJKLMNOP",
        "xoxb-123456789012-abcdefghij",
        "hf_abcdefghijklmnopqrstuv",
        "nvapi-abcdefghijklmnopqrstuv",
        "https://hooks.slack.com/services/T000/B000/abcdefgh",
        "https://account.example/x?sv=1&sig=abcdefgh",
        "https://bucket.example/x?X-Amz-Signature=0123456789abcdef&x=1",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "-----BEGIN RSA PRIVATE KEY-----\nabcdefgh\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nabcdefgh cut off",
        "export WANDB_API_KEY=abcdefgh",
        '{"password": "abcdefgh"}',
        "      DB_PASSWORD:  abcdefgh",
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str) -> None:
    scrubbed = Scrubber().text(text)

    assert "***" in scrubbed
    for part in ("abcdefgh", "0123456789abcdef", "ABCDEFGHIJ", "c2lnbmF0dXJl", "11ABCDEFG0"):
        assert part not in scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "      GIT_TOKEN:  <set to the key 'token' in secret 'git-token'>  Optional: true",
        "    SecretName:  git-token",
        "    TokenExpirationSeconds:  3607",
        "Mountable secrets:   <none>",
        "automountServiceAccountToken: false",
        "disable-creds-init: false",
        "the notebook has 12 tokens left",
        "/var/run/secrets/kubernetes.io/serviceaccount from kube-api-access-x (ro)",
        "commit 0123456789abcdef0123456789abcdef01234567",
    ],
)
def test_what_only_sounds_like_a_secret_stays(text: str) -> None:
    assert Scrubber().text(text) == text


def test_a_reference_to_a_param_is_not_a_secret() -> None:
    env = {"name": "API_TOKEN", "value": "$(params.api-token)"}

    assert Scrubber().object(env) == env
    assert Scrubber().object({**env, "value": "$(params.x)hidden"}) == {**env, "value": "***"}


def test_a_line_of_megabytes_is_read_through() -> None:
    word = "token" * 400_000

    assert Scrubber().text(f"{word} PASSWORD=abcdefgh") == f"{word} PASSWORD=***"


def test_a_name_of_a_secret_is_not_masked_as_a_secret() -> None:
    scrubber = Scrubber(frozenset({"notify"}))

    params = [{"name": "secret", "value": "notify"}, {"name": "secret", "value": "hunter2!"}]

    assert [param["value"] for param in scrubber.object(params)] == ["notify", "***"]
    assert scrubber.text("secret: notify") == "secret: notify"
    assert scrubber.text("secret: other-words") == "secret: ***"
