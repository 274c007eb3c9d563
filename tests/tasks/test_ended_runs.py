"""The CronJob that marks the commits of runs that ended without a report."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import loopback
import pytest
import yaml
from commands import run
from tasks.manifests import ROOT, manifests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DIRECTORY = ROOT / "triggers/ended_runs"
PROGRAM = DIRECTORY / "mark_ended_runs.py"
RUNS = "/apis/tekton.dev/v1/namespaces/team-a/pipelineruns"
COMMIT = "0123456789abcdef" * 2 + "01234567"
NOW = datetime.now(UTC).replace(microsecond=0)


class Servers:
    """The API server of a cluster and GitHub, as one server."""

    def __init__(self) -> None:
        self.pages: list[list[dict[str, Any]]] = []
        self.states: dict[str, str] = {}  # of the status, by commit
        self.posts: list[tuple[str, Any]] = []
        self.tokens: set[tuple[str, str]] = set()
        self.status = 201
        self.url = ""

    def get(self, path: str, query: dict[str, list[str]]) -> Any:
        if path == RUNS:
            number = int(query.get("continue", ["0"])[0])
            rest = number + 1 < len(self.pages)
            more = {"continue": str(number + 1)} if rest else {}
            return {"items": self.pages[number], "metadata": more}
        commit = path.removeprefix("/repos/lab/notebooks/commits/").removesuffix("/status")
        others = {"context": "other", "state": "pending"}
        found = {"context": "stepkit/notebook-ci", "state": self.states.get(commit)}
        return {"statuses": [others, *([found] if found["state"] else [])]}


@contextmanager
def serving(state: Servers) -> Iterator[Servers]:
    class Handler(loopback.Handler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            self.note(parts.path)
            answer = state.get(parts.path, parse_qs(parts.query))
            self.answer(200, json.dumps(answer).encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.note(self.path)
            state.posts.append((self.path, json.loads(body)))
            place = {"Location": f"{state.url}/elsewhere"}
            self.answer(state.status, b"{}", place if state.status == 302 else None)

        def note(self, path: str) -> None:
            state.tokens.add((path.split("/")[1], self.headers["Authorization"]))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    with loopback.running(server):
        yield state


@pytest.fixture
def servers() -> Iterator[Servers]:
    with serving(Servers()) as state:
        yield state


def pipeline_run(*, ended: timedelta | None = timedelta(minutes=5), **params: str) -> Any:
    """Return a run that ended so long ago, or goes on; its commit gets a status."""
    values = {
        "notify": "true",
        "commit-status-repository": "lab/notebooks",
        "notebooks-revision": COMMIT,
        **{name.replace("_", "-"): value for name, value in params.items()},
    }
    time = {} if ended is None else {"completionTime": (NOW - ended).isoformat()}
    return {
        "spec": {"params": [{"name": n, "value": v} for n, v in values.items()]},
        "status": time,
    }


def mark(
    tmp_path: Path, servers: Servers, *runs: Any, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run the program for these PipelineRuns, with an account and a token."""
    servers.pages = servers.pages or [list(runs)]
    for one in (one for page in servers.pages for one in page):
        params = one["spec"].setdefault("params", [])
        if "github-api-url" not in {param["name"] for param in params}:
            params.append({"name": "github-api-url", "value": servers.url})
    for name, text in {"namespace": "team-a", "token": "account-token", "ca.crt": ""}.items():
        (tmp_path / name).write_text(text)
    flags = [f"--api-url={servers.url}", f"--cluster={servers.url}/", f"--account={tmp_path}"]
    variables = {"PATH": os.environ["PATH"], "GITHUB_TOKEN": "status-token", **env}
    return run(sys.executable, "-P", PROGRAM, *flags, env=variables)


def test_a_commit_that_is_pending_after_its_run_is_marked(tmp_path: Path, servers: Servers) -> None:
    servers.states = {COMMIT: "pending"}

    done = mark(tmp_path, servers, pipeline_run(), pipeline_run())

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"lab/notebooks {COMMIT}: error: the run ended without a report\n"
    status = {
        "state": "error",
        "context": "stepkit/notebook-ci",
        "description": "the run ended without a report",
    }
    assert servers.posts == [(f"/repos/lab/notebooks/statuses/{COMMIT}", status)]
    assert servers.tokens == {
        ("apis", "Bearer account-token"),
        ("repos", "Bearer status-token"),
    }


def test_runs_on_every_page_of_the_list_count(tmp_path: Path, servers: Servers) -> None:
    other = "f" * 40
    servers.states = {COMMIT: "pending", other: "pending"}
    servers.pages = [[pipeline_run()], [], [pipeline_run(notebooks_revision=other)]]

    assert mark(tmp_path, servers).returncode == 0
    assert [path.rpartition("/")[2] for path, _ in servers.posts] == [COMMIT, other]


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
    tmp_path: Path, servers: Servers, state: str, runs: list[Any]
) -> None:
    servers.states = {COMMIT: state}

    done = mark(tmp_path, servers, *runs)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert servers.posts == []


@pytest.mark.parametrize(("status", "why"), [(403, "HTTP Error 403"), (302, "HTTP Error 302")])
def test_a_commit_that_cannot_be_marked_fails_and_the_next_is_tried(
    tmp_path: Path, servers: Servers, status: int, why: str
) -> None:
    other = "f" * 40
    servers.states, servers.status = {COMMIT: "pending", other: "pending"}, status

    done = mark(tmp_path, servers, pipeline_run(), pipeline_run(notebooks_revision=other))

    assert (done.returncode, done.stderr) == (1, "")
    assert [line.partition(": not marked: ")[2][:14] for line in done.stdout.splitlines()] \
        == [why, why]  # fmt: skip
    assert len(servers.posts) == 2
    assert "token" not in done.stdout


def test_a_cluster_that_does_not_answer_and_a_missing_token_fail_in_one_line(
    tmp_path: Path, servers: Servers
) -> None:
    servers.pages = [[]]
    assert mark(tmp_path, servers, GITHUB_TOKEN="").stdout \
        == "GITHUB_TOKEN is not set: no commit can be marked\n"  # fmt: skip
    servers.url = "http://127.0.0.1:1"

    done = mark(tmp_path, servers)

    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("cannot read the PipelineRuns: <urlopen error")
    assert len(done.stdout.splitlines()) == 1


def test_a_token_travels_to_https_alone(tmp_path: Path, servers: Servers) -> None:
    servers.url = "http://github.example"

    done = mark(tmp_path, servers, pipeline_run())

    assert done.returncode == 2
    assert "http://github.example must be https://HOST: a token travels with it" in done.stderr


def test_the_job_mounts_the_program_and_may_only_list_runs() -> None:
    named = {one.kind: one for one in manifests() if one.path.parent == DIRECTORY}
    pod = named["CronJob"].spec["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    kustomization = yaml.safe_load((DIRECTORY / "kustomization.yaml").read_text())

    (generated,) = kustomization["configMapGenerator"]
    assert pod["volumes"][0]["configMap"]["name"] == generated["name"]
    assert container["command"][-1] == f"/program/{generated['files'][0]}"
    assert DIRECTORY / generated["files"][0] == PROGRAM
    done = run(sys.executable, "-P", PROGRAM, *container["args"], "--help")
    assert done.returncode == 0, done.stderr
    assert pod["serviceAccountName"] == named["ServiceAccount"].name
    rules = named["Role"].value["rules"]
    assert rules == [
        {"apiGroups": ["tekton.dev"], "resources": ["pipelineruns"], "verbs": ["list"]}
    ]
    labels = named["CronJob"].spec["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert named["NetworkPolicy"].spec["podSelector"]["matchLabels"] == labels


def test_kustomize_builds_it() -> None:
    tool = shutil.which("kustomize") or shutil.which("kubectl")
    if not tool:
        pytest.skip("neither kustomize nor kubectl is there")
    done = run(tool, *(["build"] if tool.endswith("kustomize") else ["kustomize"]), DIRECTORY)
    assert done.returncode == 0, done.stderr
    kinds = [one["kind"] for one in yaml.safe_load_all(done.stdout)]
    assert {"ConfigMap", "CronJob", "Role", "RoleBinding"} <= set(kinds)
