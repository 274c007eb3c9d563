"""Secrets around notebooks and tests: of package indexes, clusters, Pushgateways, channels."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import api_server
import data_server
import loopback
import message_servers
import package_index
from faults.planted_step import Planted, scenario
from faults.secrets_of_data import KEYS, keys
from samples import write_notebook
from step_reports import write_report

COMMIT: Final = "0123456789abcdef" * 2 + "01234567"


@scenario("run-tests", "UV_DEFAULT_INDEX", "POETRY_HTTP_BASIC_LAB_PASSWORD")
def packages(planted: Planted) -> None:
    password = planted.secret("UV_DEFAULT_INDEX")
    planted.secret("POETRY_HTTP_BASIC_LAB_PASSWORD", variable=True)
    planted.left = frozenset(planted.secrets)
    simple = planted.private / "simple"
    package_index.write_small_wheel("tinydep", "1.0", simple)
    for name in ("pytest", "pluggy", "iniconfig", "packaging", "pygments"):
        if planted.mood == "serves":
            package_index.pack_wheel(name, simple)
    handler = partial(package_index.Quiet, directory=str(planted.private))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    planted.stack.enter_context(loopback.running(server))
    address = urlsplit(planted.before(f"http://127.0.0.1:{server.server_port}")).netloc
    planted.env |= {
        "UV_DEFAULT_INDEX": f"http://me:{quote(password, safe='')}@{address}/simple/",
        "UV_HTTP_RETRIES": "0",
        "UV_NO_CONFIG": "1",
        "UV_CACHE_DIR": str(planted.work / "uv"),
    }
    (planted.work / "checkout/tests").mkdir(parents=True)
    (planted.work / "checkout/requirements.txt").write_text("tinydep\n")
    test = "import os, tinydep\ndef test_a():\n    print(dict(os.environ))\n"
    (planted.work / "checkout/tests/test_a.py").write_text(test)
    planted.args = ["--checkout=checkout", "--artifacts=artifacts", "--installer=uv",
                    "--with-coverage=false", "--with-html=false", "--attempts=1"]  # fmt: skip


def _cluster(planted: Planted) -> tuple[str, api_server.ApiServer]:
    """Serve the API of a cluster without TLS; return its address, and what it has."""
    account = planted.private / "account"
    state = api_server.ApiServer(account)
    planted.secrets["--account"] = api_server.TOKEN
    for name, text in {"namespace": "team-a\n", "token": api_server.TOKEN, "ca.crt": ""}.items():
        planted.file(f"account/{name}", text)
    handler = type("Of", (api_server.Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    planted.stack.enter_context(loopback.running(server))
    planted.args = ["--account", account, "--attempts=1"]
    return f"http://127.0.0.1:{server.server_port}", state


@scenario("prune-runs", "--account")
def runs_of_cluster(planted: Planted) -> None:
    url, _ = _cluster(planted)
    planted.args += ["--server", planted.before(url), "--older-than=1d", "notebook-ci"]
    assert planted.front
    planted.front.speaks_json = True


@scenario("mark-ended-runs", "--account", "GITHUB_TOKEN")
def ended_runs_of_cluster(planted: Planted) -> None:
    url, state = _cluster(planted)
    planted.secret("GITHUB_TOKEN", variable=True)
    pending = {"statuses": [{"context": "stepkit/notebook-ci", "state": "pending"}]}
    answer = json.dumps(pending).encode()
    github = planted.before(planted.stack.enter_context(data_server.serving(answer)).url)
    params = {"notify": "true", "commit-status-repository": "lab/notebooks",
              "notebooks-revision": COMMIT, "github-api-url": github}  # fmt: skip
    cancelled = {"type": "Succeeded", "status": "False", "reason": "Cancelled"}
    state.runs["run"] = {
        "metadata": {"name": "run", "uid": "1", "labels": {"tekton.dev/pipeline": "notebook-ci"}},
        "spec": {"params": [{"name": n, "value": v} for n, v in params.items()]},
        "status": {
            "completionTime": datetime.now(UTC).isoformat(),
            "conditions": [cancelled],
        },
    }
    planted.args += ["--server", url, "--api-url", github]


TELLS: Final = """
import os, pathlib
print(dict(os.environ))
process = os.getpid()
while process > 1 and process != {above}:
    process = int(pathlib.Path(f"/proc/{{process}}/stat").read_text().rpartition(")")[2].split()[1])
    print(pathlib.Path(f"/proc/{{process}}/environ").read_bytes())
"""
ASKS: Final = """
import urllib.request
urllib.request.urlopen("{url}/cell").read()
"""
OTHERS: Final = ("GIT_TOKEN", "DATASET_TOKEN", "NOTIFY_URLS", "GITHUB_TOKEN", "METRICS_PUSH_TOKEN")


def _notebook(path: Path, *then: str) -> Path:
    """Write a notebook that prints the variables of all processes above it, up to the test's."""
    return write_notebook(path, TELLS.format(above=os.getpid()), *then)


@scenario("execute-notebook", *KEYS)
def notebook_in_s3(planted: Planted) -> None:
    keys(planted)
    del planted.secrets["AWS_ACCESS_KEY_ID"]  # the name of a key, which stays with the notebook
    planted.left = frozenset(KEYS)
    for name in OTHERS:
        planted.secret(name, variable=True)
    url = planted.before(planted.storage.url)
    source = _notebook(planted.private / "a.ipynb", ASKS.format(url=url))
    planted.storage.put("planted/a.ipynb", source.read_bytes())
    planted.args = ["s3://planted/a.ipynb", "s3://planted/out.ipynb", "--page=out.html",
                    "--log-output=true", "--endpoint-url", url]  # fmt: skip


@scenario("execute-notebooks", *OTHERS)
def notebooks(planted: Planted) -> None:
    for name in OTHERS:
        planted.secret(name, variable=True)
    if planted.mood in {"serves", "hangs"}:
        then = ASKS.format(url=planted.before(planted.storage.url))
    else:
        then = "raise RuntimeError(dict(os.environ))"
    _notebook(planted.work / "a.ipynb", then)
    planted.args = ["--notebooks", "a.ipynb", "--directory=out", "--log-output=true"]


def _run(planted: Planted) -> None:
    """Write the reports of a run that failed, whose notebook raised an error."""
    write_report(planted.work / "reports", "git-clone", outputs={"commit": COMMIT})
    failed = {"status": "failed", "reason": "cell-error", "exit_code": 3, "message": "KeyError"}
    write_report(planted.work / "reports", "execute-notebook", **failed)


@scenario("summarize", "METRICS_PUSH_TOKEN")
def metrics_with_token(planted: Planted) -> None:
    planted.secret("METRICS_PUSH_TOKEN", variable=True, ends="\n")
    _summarize(planted)


@scenario("summarize", "METRICS_PUSH_USER", "METRICS_PUSH_PASSWORD")
def metrics_with_password(planted: Planted) -> None:
    planted.secret("METRICS_PUSH_USER", variable=True)
    planted.secret("METRICS_PUSH_PASSWORD", variable=True, ends="\n")
    _summarize(planted)


def _summarize(planted: Planted) -> None:
    _run(planted)
    url = planted.before(planted.stack.enter_context(message_servers.web()).url)
    planted.args = ["--reports=reports", "--summary=STEP_SUMMARY.md", "--metrics-push", url]


@scenario("notify", "NOTIFY_URLS", "NOTIFY_WEBHOOK", "GITHUB_TOKEN")
def channels(planted: Planted) -> None:
    _run(planted)
    planted.secret("GITHUB_TOKEN", variable=True)
    password, chat, hook = (planted.secret(f"NOTIFY {name}") for name in ("mail", "chat", "hook"))
    url = planted.before(planted.stack.enter_context(message_servers.web()).url)
    address = urlsplit(url).netloc
    said = "235 ok" if planted.mood == "serves" else f"535 5.7.8 {password} is wrong"
    mail = message_servers.mail(EHLO="250-test\r\n250 AUTH PLAIN LOGIN", AUTH=said)
    port, _ = planted.stack.enter_context(mail)
    planted.env["NOTIFY_URLS"] = (
        f"mailto://me:{quote(password, safe='')}@127.0.0.1:{port}"
        "?from=ci@example.com&to=team@example.com&mode=insecure\n"
        f"failed=json://me:{quote(chat, safe='')}@{address}/\n"
    )
    planted.env["NOTIFY_WEBHOOK"] = f"{url}/hooks/{quote(hook, safe='')}\n"
    planted.args = ["--reports=reports", "--attempts=1", "--commit-status-repository=lab/notebooks",
                    f"--commit={COMMIT}", "--api-url", url]  # fmt: skip
