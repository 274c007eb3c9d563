"""mark-ended-runs marks the commits of runs that ended without a report."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import api_server
import commands
import loopback
import pytest
from refusals import refusal

from stepkit.cli.commands import mark_ended_runs
from stepkit.cli.commands.mark_ended_runs import Options, Outputs
from stepkit.errors import ConfigurationError, Reason, StepError, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api_server import ApiServer

COMMIT = "0123456789abcdef" * 2 + "01234567"
OTHER = "f" * 40
NOW = datetime.now(UTC).replace(microsecond=0)
STATUS = {
    "state": "error",
    "context": "stepkit/notebook-ci",
    "description": "the run ended without a report",
}


@dataclass
class GitHub:
    """GitHub's REST API, as far as the status of commits goes."""

    url: str = ""
    states: dict[str, str] = field(default_factory=dict)  # of the status, by commit
    posts: list[tuple[str, Any]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    code: int = 201  # of the answer to a post
    body: bytes = b""  # of the answer to a question, where it is not a list


@contextmanager
def serving(state: GitHub) -> Iterator[GitHub]:
    class Handler(loopback.Handler):
        def do_GET(self) -> None:
            state.tokens.add(self.headers["Authorization"])
            path = urlsplit(self.path).path
            commit = path.removeprefix("/repos/lab/notebooks/commits/").removesuffix("/status")
            found = [{"context": "other", "state": "pending"}]
            if commit in state.states:
                found.append({"context": "stepkit/notebook-ci", "state": state.states[commit]})
            self.answer(200, state.body or json.dumps({"statuses": found}).encode())

        def do_POST(self) -> None:
            state.tokens.add(self.headers["Authorization"])
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.posts.append((self.path, json.loads(body)))
            self.answer(state.code, b"{}", {"Location": f"{state.url}/elsewhere"})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    with loopback.running(server):
        yield state


@pytest.fixture
def github() -> Iterator[GitHub]:
    with serving(GitHub(states={COMMIT: "pending"})) as state:
        yield state


def pipeline_run(*, ended: timedelta | None = timedelta(minutes=5), **params: str) -> Any:
    """Return a run that ended so long ago, or goes on; its commit gets a status."""
    values = {
        "notify": "true",
        "commit-status-repository": "lab/notebooks",
        "notebooks-revision": COMMIT,
        **{name.replace("_", "-"): value for name, value in params.items()},
    }
    status: dict[str, Any] = {"conditions": [{"type": "Succeeded", "status": "Unknown"}]}
    if ended is not None:
        status = {"completionTime": (NOW - ended).isoformat()}
        status["conditions"] = [{"type": "Succeeded", "status": "False", "reason": "Cancelled"}]
    return {"spec": {"params": [{"name": n, "value": v} for n, v in values.items()]},
            "status": status}  # fmt: skip


def add(cluster: ApiServer, github: GitHub, *runs: Any) -> None:
    """Let the cluster have these runs, whose commits are at ``github`` if they name no other."""
    for number, run in enumerate(runs):
        params = run["spec"].setdefault("params", [])
        if "github-api-url" not in {param["name"] for param in params}:
            params.append({"name": "github-api-url", "value": github.url})
        labels = {"tekton.dev/pipeline": "notebook-ci"}
        run["metadata"] = {"name": f"run-{number}", "uid": f"uid-{number}", "labels": labels}
        cluster.runs[f"run-{number}"] = run


def mark(cluster: ApiServer, github: GitHub, *runs: Any, **more: Any) -> Outputs:
    add(cluster, github, *runs)
    given: dict[str, Any] = {"token": "status-token", "api_url": github.url, "attempts": 1}
    places = {"server": cluster.url, "account": cluster.account}
    return mark_ended_runs.run(Options(**given | places | more))


def test_a_commit_that_is_pending_after_its_run_is_marked(
    cluster: ApiServer, github: GitHub, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        outputs = mark(cluster, github, pipeline_run(), pipeline_run())

    assert (outputs.marked, outputs.message) == (1, "marked 1 commit")
    assert caplog.messages == [f"lab/notebooks {COMMIT}: error: the run ended without a report"]
    assert github.posts == [(f"/repos/lab/notebooks/statuses/{COMMIT}", STATUS)]
    assert github.tokens == {"Bearer status-token"}


def test_runs_on_every_page_of_the_list_count(cluster: ApiServer, github: GitHub) -> None:
    github.states[OTHER] = "pending"
    cluster.page = 1

    mark(cluster, github, pipeline_run(), pipeline_run(notebooks_revision=OTHER))

    assert [path.rpartition("/")[2] for path, _ in github.posts] == [COMMIT, OTHER]
    assert cluster.asked == ["GET LIST", "GET LIST"]


@pytest.mark.parametrize(
    ("state", "runs"),
    [
        pytest.param("success", [pipeline_run()], id="has a verdict"),
        pytest.param("", [pipeline_run()], id="never was pending"),
        pytest.param("pending", [pipeline_run(ended=None)], id="goes on"),
        pytest.param("pending", [pipeline_run(), pipeline_run(ended=None)], id="another goes on"),
        pytest.param("pending", [pipeline_run(ended=timedelta(hours=2))], id="ended long ago"),
        pytest.param("pending", [pipeline_run(notify="false")], id="marks no commit"),
        pytest.param("pending", [pipeline_run(notebooks_revision="main")], id="a branch"),
        pytest.param(
            "pending", [pipeline_run(commit_status_repository="../x")], id="no repository"
        ),
        pytest.param(
            "pending", [pipeline_run(github_api_url="https://api.github.com")], id="another server"
        ),
        pytest.param("pending", [{"spec": {}}], id="another Pipeline"),
    ],
)
def test_any_other_commit_is_left_alone(
    cluster: ApiServer, github: GitHub, state: str, runs: list[Any]
) -> None:
    github.states = {COMMIT: state} if state else {}

    assert mark(cluster, github, *runs).message == "marked 0 commits"
    assert github.posts == []


@pytest.mark.parametrize(
    ("code", "kind", "why"),
    [
        (403, ConfigurationError, "HTTP 403: check the token and its rights"),
        (302, ConfigurationError, "HTTP 302, a redirect"),
        (503, ToolError, "HTTP 503"),
    ],
)
def test_a_commit_that_cannot_be_marked_fails_and_the_next_is_tried(
    cluster: ApiServer, github: GitHub, code: int, kind: type[StepError], why: str
) -> None:
    github.states[OTHER] = "pending"
    github.code = code

    with pytest.raises(kind, match=why) as caught:
        mark(cluster, github, pipeline_run(), pipeline_run(notebooks_revision=OTHER))

    assert str(caught.value).startswith("status of lab/notebooks: the server answered HTTP ")
    assert str(caught.value).endswith("; 2 not marked, marked 0 commits")
    assert len(github.posts) == 2
    assert caught.value.outputs == Outputs(marked=0, message="marked 0 commits")


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"statuses": [{}]}'])
def test_an_answer_that_is_not_a_list_marks_nothing(
    cluster: ApiServer, github: GitHub, body: bytes
) -> None:
    github.body = body

    with pytest.raises(ToolError, match="the answer is not a list of statuses"):
        mark(cluster, github, pipeline_run())

    assert github.posts == []


def test_a_missing_token_is_refused_before_anything_is_asked(
    cluster: ApiServer, github: GitHub
) -> None:
    with pytest.raises(ConfigurationError, match=r"^GITHUB_TOKEN is not set: no commit") as caught:
        mark(cluster, github, pipeline_run(), token=None)

    assert caught.value.reason == Reason.AUTH
    assert cluster.asked == []


def test_a_token_travels_to_https_alone(cluster: ApiServer, github: GitHub) -> None:
    assert refusal(mark, cluster, github, api_url="http://github.example") \
        == "--api-url must be https://HOST: a token travels with it"  # fmt: skip
    assert cluster.asked == []


def test_the_command_line_takes_the_token_from_the_environment_and_shows_none(
    cluster: ApiServer, github: GitHub
) -> None:
    add(cluster, github, pipeline_run())
    flags = [f"--api-url={github.url}", f"--server={cluster.url}", f"--account={cluster.account}"]
    env = {"PATH": os.environ["PATH"], "GITHUB_TOKEN": "status-token"}

    done = commands.stepkit("mark-ended-runs", *flags, env=env)

    assert done.returncode == 0, done.stderr
    assert "marked=1\n" in done.stdout
    assert len(github.posts) == 1
    shown = done.stdout + done.stderr
    assert not {"status-token", api_server.TOKEN} & set(shown.split())
    assert api_server.TOKEN not in shown
