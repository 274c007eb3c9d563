"""The API server of a cluster, as far as PipelineRuns go, on loopback with TLS."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import loopback

RUNS = "/apis/tekton.dev/v1/namespaces/team-a/pipelineruns"
TOKEN = "account-token-of-the-pod"


@dataclass
class ApiServer:
    """What the server has, what it refuses, and what it was asked for."""

    account: Path
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: dict[str, tuple[int, bytes]] = field(default_factory=dict)  # by a run's name, or LIST
    page: int = 2  # runs in one answer, at most
    selects: bool = True  # False: answers with runs that were not asked for
    forgets: bool = False  # where in the list the next answer is to go on
    asked: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    url: str = ""


class Handler(loopback.Handler):
    """Answers as a cluster does."""

    state: ApiServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if self.is_refused(parts.path, "LIST"):
            return
        if self.state.forgets and "continue" in query:
            self.answer(410, b'{"reason": "Expired"}')
            return
        selector = query.get("labelSelector", "").removeprefix("tekton.dev/pipeline in (")
        wanted = selector.removesuffix(")").split(",")
        found = [
            run
            for run in self.state.runs.values()
            if not selector
            or not self.state.selects
            or run["metadata"]["labels"]["tekton.dev/pipeline"] in wanted
        ]
        first = int(query.get("continue", "0"))
        after = first + self.state.page
        more = {"continue": str(after)} if after < len(found) else {}
        answer = {"items": found[first:after], "metadata": more}
        self.answer(200, json.dumps(answer).encode())

    def do_DELETE(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path, _, name = self.path.rpartition("/")
        self.state.bodies.append(body)
        if self.is_refused(path, name):
            return
        there = self.state.runs.get(name)
        if there is None:
            self.answer(404, b"{}")
        elif body["preconditions"]["uid"] != there["metadata"]["uid"]:
            self.answer(409, b"{}")
        else:
            del self.state.runs[name]
            self.answer(200, b'{"kind": "Status", "status": "Success"}')

    def is_refused(self, path: str, name: str) -> bool:
        self.state.asked.append(f"{self.command} {name}")
        if path != RUNS:
            self.answer(404, b"{}")
        elif self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.answer(401, b"{}")
        elif name in self.state.refused:
            self.answer(*self.state.refused[name])
        else:
            return False
        return True


@contextmanager
def serving(directory: Path, authority: Path, certificate: Path) -> Iterator[ApiServer]:
    """Serve with ``certificate``, and write the account of a pod to ``directory``."""
    state = ApiServer(directory)
    texts = {"namespace": "team-a\n", "token": TOKEN, "ca.crt": authority.read_text()}
    for name, text in texts.items():
        (directory / name).write_text(text)

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Of", (Handler,), {"state": state}))
    state.url = f"https://127.0.0.1:{server.server_port}"
    with loopback.running(server, tls):
        yield state
