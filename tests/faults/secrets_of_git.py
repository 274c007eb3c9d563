"""Secrets for git's servers, in each way that they are given to git-clone."""

from __future__ import annotations

import sys
from base64 import b64encode
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import ssh_server
import yaml
from faults.planted_step import Planted, scenario
from git_server import GitServer
from git_server import serving as serving_git
from samples import Origin
from ssh_server import SshServer


def _basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def _clone(planted: Planted, token: str, *args: str | Path, user: str = "x-access-token") -> None:
    origin = _origin(planted)
    login = _basic(user, token)
    server = planted.stack.enter_context(serving_git(GitServer(origin.path.parent, login=login)))
    url = f"{planted.before(server.url)}/origin/.git"
    planted.args = ["--url", url, "--destination=source", "--attempts=1", *args]


def _origin(planted: Planted) -> Origin:
    (planted.private / "server").mkdir()
    origin = Origin(planted.private / "server/origin")
    origin.commit("first")
    return origin


@scenario("git-clone", "GIT_TOKEN")
def git_token(planted: Planted) -> None:
    _clone(planted, planted.secret("GIT_TOKEN", variable=True, ends="\n"), "--verbose=true")


@scenario("git-clone", "--token-file")
def git_token_file(planted: Planted) -> None:
    token = planted.secret("--token-file")
    _clone(planted, token, "--token-file", planted.mounted(token=token) / "token")


@scenario("git-clone", "--basic-auth")
def git_stored_credentials(planted: Planted) -> None:
    token = planted.secret("--basic-auth")
    _clone(planted, token, user="me")
    assert planted.front
    url = f"http://me:{quote(token, safe='')}@127.0.0.1:{planted.front.server_port}\n"
    directory = planted.mounted(__git_credentials=url)
    (directory / ".git_credentials").rename(directory / ".git-credentials")
    planted.args += ["--basic-auth", directory]


@scenario("git-clone", "--basic-auth")
def git_user_and_password(planted: Planted) -> None:
    token = planted.secret("--basic-auth")
    directory = planted.mounted(username="me\n", password=f"{token}\n")
    _clone(planted, token, "--basic-auth", directory, user="me")


@scenario("git-clone", "--ssh-directory")
def git_ssh(planted: Planted) -> None:
    ssh_server.skip_without_account()
    origin = _origin(planted)
    keys = planted.private / "keys"
    if planted.mood == "serves":
        server = SshServer(planted.private / "sshd")
        planted.stack.callback(server.stop)
        keys, url = server.keys, server.url(origin)
        (keys / "known_hosts").write_text(server.known)
    else:
        keys.mkdir()
        ssh_server.make_key(keys / "ssh-privatekey")
        (keys / "ssh-privatekey.pub").unlink()
    planted.secrets["--ssh-directory"] = (keys / "ssh-privatekey").read_text()
    if planted.mood != "serves":
        url = f"ssh://me@{urlsplit(planted.before('')).netloc}/origin"
    planted.args = ["--url", url, "--destination=source", "--attempts=1", "--ssh-directory", keys]


@scenario("git-clone", "--http-proxy", "--https-proxy")
def git_proxy_of_flag(planted: Planted) -> None:
    git_proxy(planted)
    planted.args += ["--http-proxy", planted.env.pop("http_proxy")]
    planted.shown = planted.left


@scenario("git-clone", "http_proxy")
def git_proxy(planted: Planted) -> None:
    password = planted.secret("http_proxy")
    login = _basic("me", password)
    behind = GitServer(_origin(planted).path.parent)
    server = planted.stack.enter_context(serving_git(behind))
    proxy = GitServer(Path("/"), login=login, proxy=True)
    planted.stack.enter_context(serving_git(proxy))
    address = urlsplit(planted.before(proxy.url)).netloc
    planted.env["http_proxy"] = f"http://me:{quote(password, safe='')}@{address}"
    planted.left = frozenset({"http_proxy"})
    planted.args = ["--url", f"{server.url}/origin/.git", "--destination=source", "--attempts=1"]


CALL: Final = """
import pathlib, sys
import stepkit
_, step, token, url, *_, report = sys.argv
stepkit.run(step, url=url, token=pathlib.Path(token).read_text(), destination="source", attempts=1,
            report=report)
"""


@scenario("git-clone", "GIT_TOKEN")
def git_from_python(planted: Planted) -> None:
    token = planted.secret("GIT_TOKEN")
    _clone(planted, token)
    planted.command = [sys.executable, "-c", CALL]
    planted.args = [planted.file("token", token), planted.args[1]]


@scenario("run-local", "--secret")
def pipeline(planted: Planted) -> None:
    token = planted.secret("--secret")
    _clone(planted, token)
    source = {"secretKeyRef": {"name": "git", "key": "token"}}
    arguments = [*planted.args, "--destination=$(workspaces.shared.path)/source"]
    step = {
        "name": "only",
        "image": "i",
        "command": [sys.executable, "-P", "-m", "stepkit", "git-clone"],
        "args": [*map(str, arguments), "--result=commit=$(results.commit.path)"],
        "env": [{"name": "GIT_TOKEN", "valueFrom": source}],
    }
    task = {"name": "t", "taskSpec": {"steps": [step], "results": [{"name": "commit"}]}}
    spec = {"workspaces": [{"name": "shared"}], "tasks": [task]}
    content = {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": {"name": "p"}}
    file = planted.work / "pipeline.yaml"
    file.write_text(yaml.safe_dump({**content, "spec": spec}))
    planted.args = [file, "--workspace=shared=shared", "--run=r",
                    f"--secret=git={planted.mounted(token=token)}"]  # fmt: skip
