"""prune-runs deletes PipelineRuns that ended long ago, and never one that goes on."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import commands
import pytest
from api_server import TOKEN, ApiServer
from certificates import make_authority
from refusals import refusal

from stepkit.cli.commands import prune_runs
from stepkit.cli.commands.prune_runs import Options, Outputs
from stepkit.errors import ConfigurationError, Reason, ToolError

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86400.0
NOW = datetime.now(UTC).replace(microsecond=0)


def add(
    cluster: ApiServer,
    name: str,
    *,
    days: float | None,
    pipeline: str = "notebook-ci",
    **status: Any,
) -> None:
    """Add a run that ended so many days ago, or goes on; ``status`` replaces parts of its own."""
    over = {"type": "Succeeded", "status": "False", "reason": "Failed"}
    going_on = {"type": "Succeeded", "status": "Unknown", "reason": "Running"}
    state: dict[str, Any] = {"conditions": [going_on]}
    if days is not None:
        end = (NOW - timedelta(days=days)).isoformat().replace("+00:00", "Z")
        state = {"conditions": [over], "completionTime": end}
    cluster.runs[name] = {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "labels": {"tekton.dev/pipeline": pipeline},
        },
        "status": state | status,
    }


def prune(cluster: ApiServer, *pipelines: str, **more: Any) -> Outputs:
    """Prune with no run that stays for its place among the newest."""
    given: dict[str, Any] = {"older_than": 14 * DAY, "keep": 0, "attempts": 1, **more}
    given |= {"server": cluster.url, "account": cluster.account}
    return prune_runs.run(Options(pipelines=pipelines or ("notebook-ci",), **given))


def test_runs_that_ended_longer_ago_are_deleted(
    cluster: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    add(cluster, "old", days=20)
    add(cluster, "young", days=10)

    with caplog.at_level(logging.INFO):
        outputs = prune(cluster)

    assert list(cluster.runs) == ["young"]
    assert (outputs.runs, outputs.kept, outputs.going_on) == (1, 1, 0)
    ended = (NOW - timedelta(days=20)).isoformat()
    assert caplog.messages == [f"deleted old (Failed), which ended {ended}"]
    assert outputs.removed == (
        prune_runs.PrunedRun(name="old", pipeline="notebook-ci", ended=ended, reason="Failed"),
    )
    assert outputs.message == "deleted 1 run; 1 that ended stay, 0 going on"
    assert cluster.bodies == [
        {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": "Background",
            "preconditions": {"uid": "uid-old"},
        }
    ]


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({}, id="running"),
        pytest.param({"conditions": []}, id="without a condition"),
        pytest.param({"conditions": None, "completionTime": None}, id="pending"),
        pytest.param({"completionTime": "2020-01-01T00:00:00Z"}, id="with a time and not over"),
    ],
)
def test_a_run_that_goes_on_is_never_deleted(cluster: ApiServer, status: dict[str, Any]) -> None:
    add(cluster, "run", days=None, **status)

    outputs = prune(cluster, older_than=0.0)

    assert list(cluster.runs) == ["run"]
    assert (outputs.runs, outputs.going_on) == (0, 1)
    assert cluster.asked == ["GET LIST"]


def test_a_run_that_tekton_has_not_seen_is_never_deleted(cluster: ApiServer) -> None:
    add(cluster, "run", days=None)
    del cluster.runs["run"]["status"]

    assert prune(cluster, older_than=0.0).going_on == 1
    assert list(cluster.runs) == ["run"]


def test_the_newest_of_each_pipeline_stay_whatever_their_age(cluster: ApiServer) -> None:
    for days in (20, 30, 40, 50):
        add(cluster, f"ci-{days}", days=days)
        add(cluster, f"matrix-{days + 100}", days=days + 100, pipeline="notebook-matrix")
    add(cluster, "ci-now", days=None)

    outputs = prune(cluster, "notebook-ci", "notebook-matrix", keep=2)

    assert sorted(cluster.runs) == ["ci-20", "ci-30", "ci-now", "matrix-120", "matrix-130"]
    assert [item.name for item in outputs.removed] \
        == ["matrix-150", "matrix-140", "ci-50", "ci-40"]  # fmt: skip
    assert (outputs.runs, outputs.kept, outputs.going_on) == (4, 4, 1)


@pytest.mark.parametrize("selects", [True, False])
def test_runs_of_other_pipelines_stay(cluster: ApiServer, *, selects: bool) -> None:
    add(cluster, "theirs", days=100, pipeline="deploy")
    cluster.selects = selects

    assert prune(cluster).message == "deleted 0 runs; 0 that ended stay, 0 going on"
    assert list(cluster.runs) == ["theirs"]


def test_dry_run_lists_and_deletes_nothing(
    cluster: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    add(cluster, "old", days=20)

    with caplog.at_level(logging.INFO):
        outputs = prune(cluster, dry_run=True)

    assert (outputs.runs, outputs.message) \
        == (1, "would delete 1 run; 0 that ended stay, 0 going on")  # fmt: skip
    assert [line.partition(" (")[0] for line in caplog.messages] == ["would delete old"]
    assert list(cluster.runs) == ["old"]
    assert cluster.asked == ["GET LIST"]


def test_a_run_that_went_meanwhile_or_was_replaced_is_not_counted(cluster: ApiServer) -> None:
    for name in ("gone", "replaced", "old"):
        add(cluster, name, days=20)
    cluster.refused = {"gone": (404, b"{}"), "replaced": (409, b"{}")}

    outputs = prune(cluster)

    assert (outputs.runs, outputs.kept) == (1, 0)
    assert sorted(cluster.runs) == ["gone", "replaced"]


def test_what_cannot_be_deleted_is_named_and_the_rest_goes(cluster: ApiServer) -> None:
    for name, days in {"first": 30, "second": 20}.items():
        add(cluster, name, days=days)
    cluster.refused["first"] = (500, b'{"message": "admission webhook:\\nno endpoints"}')

    with pytest.raises(ToolError) as caught:
        prune(cluster)

    assert list(cluster.runs) == ["first"]
    assert str(caught.value) == (
        "cannot delete first: the API server answered HTTP 500 (admission webhook: no endpoints); "
        "deleted 1 run; 1 that ended stay, 0 going on"
    )
    assert isinstance(caught.value.outputs, Outputs)
    assert [item.name for item in caught.value.outputs.removed] == ["second"]


@pytest.mark.parametrize(("what", "verb"), [("LIST", "list"), ("first", "delete")])
def test_an_account_without_the_right_is_refused_once(
    cluster: ApiServer, what: str, verb: str
) -> None:
    add(cluster, "first", days=30)
    add(cluster, "second", days=20)
    cluster.refused[what] = (403, b'{"message": "pipelineruns.tekton.dev is forbidden"}')

    with pytest.raises(ConfigurationError) as caught:
        prune(cluster)

    named = "the PipelineRuns" if what == "LIST" else what
    assert str(caught.value) == (
        f"cannot {verb} {named}: the API server answered HTTP 403 (pipelineruns.tekton.dev is "
        f"forbidden): the account of this pod needs a Role with the verb {verb} for pipelineruns"
    )
    assert caught.value.reason == Reason.AUTH
    assert sorted(cluster.runs) == ["first", "second"]
    assert len([one for one in cluster.asked if one.startswith("DELETE")]) == (what != "LIST")


def test_a_redirect_gets_no_token(cluster: ApiServer) -> None:
    cluster.refused["LIST"] = (302, b"elsewhere")

    assert refusal(prune, cluster) \
        == "cannot list the PipelineRuns: the API server answered HTTP 302"  # fmt: skip
    assert cluster.asked == ["GET LIST"]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"items": [{}], "metadata": {}}', b"{}"])
def test_an_answer_that_is_not_a_list_deletes_nothing(cluster: ApiServer, body: bytes) -> None:
    add(cluster, "old", days=20)
    cluster.refused["LIST"] = (200, body)

    with pytest.raises(ToolError, match=r"^the answer of https://127.* is not a list of Pipeline"):
        prune(cluster)

    assert list(cluster.runs) == ["old"]


def test_a_list_that_expires_half_way_deletes_nothing_and_may_be_asked_for_again(
    cluster: ApiServer,
) -> None:
    for number in range(cluster.page + 1):
        add(cluster, f"old-{number}", days=20)
    cluster.forgets = True

    with pytest.raises(ToolError, match=r"^the list of PipelineRuns changed too much while"):
        prune(cluster)

    assert len(cluster.runs) == cluster.page + 1


def test_a_cluster_without_tekton_is_named(cluster: ApiServer) -> None:
    cluster.refused["LIST"] = (404, b"404 page not found\n")

    assert refusal(prune, cluster) == (
        "cannot list the PipelineRuns: the API server answered HTTP 404: "
        "is Tekton Pipelines installed in this cluster?"
    )


def test_a_server_with_a_foreign_certificate_gets_no_token(
    cluster: ApiServer, tmp_path: Path
) -> None:
    other, _ = make_authority(tmp_path)
    (cluster.account / "ca.crt").write_text(other.read_text())

    assert "certificate is not trusted" in refusal(prune, cluster)
    assert cluster.asked == []


def test_outside_of_a_pod_there_is_no_account(cluster: ApiServer) -> None:
    (cluster.account / "token").unlink()

    assert refusal(prune, cluster) == (
        f"there is no token of a service account in {cluster.account}: this command runs in a pod "
        "of the cluster, with an account that may list PipelineRuns"
    )
    assert cluster.asked == []


def test_a_token_travels_over_tls_alone(cluster: ApiServer) -> None:
    cluster.url = "http://cluster.example"

    assert refusal(prune, cluster) \
        == "http://cluster.example: a token is sent over https:// only"  # fmt: skip


def test_a_server_that_is_down_is_the_networks_fault(cluster: ApiServer) -> None:
    cluster.url = "https://127.0.0.1:1"

    with pytest.raises(ToolError, match="Connection refused") as caught:
        prune(cluster)

    assert caught.value.reason == Reason.NETWORK


def test_the_command_line_prunes_and_shows_no_token(cluster: ApiServer) -> None:
    add(cluster, "old", days=20)
    add(cluster, "young", days=1)
    where = [f"--server={cluster.url}", f"--account={cluster.account}"]

    done = commands.stepkit(
        "prune-runs", "notebook-ci", "notebook-matrix", "--older-than=14d", "--keep=0", *where
    )

    assert done.returncode == 0, done.stderr
    assert "runs=1\n" in done.stdout
    assert list(cluster.runs) == ["young"]
    assert TOKEN not in done.stdout + done.stderr
