"""Readers of what servers and tools answer: over HTTP, and as git and installers print it."""

# ruff: noqa: E501, ISC004 - tables of inputs and of readers, one a line

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import run_records
from fuzz.inputs import texts
from fuzz.reader import Reader, text

from stepkit.datasets import range_request
from stepkit.datasets.partial_file import Pace, PartialFile, Request
from stepkit.git import errors as git_errors
from stepkit.git import server_answer
from stepkit.http import status_codes
from stepkit.http.get import Source
from stepkit.notify import github_status
from stepkit.notify.pushgateway import PushOptions
from stepkit.report import baseline
from stepkit.tekton import cluster_runs
from stepkit.test_suite import venv

FAR = 1e12  # a time of the monotonic clock that does not come
GIT = [
    b"remote: Repository not found.\nfatal: repository 'https://a/b/' not found\n",
    b"error: RPC failed; curl 92 HTTP/2 stream 5 was not closed cleanly\nfatal: early EOF\n",
    b"Error downloading object: a (0a): Smudge error: Error downloading a (%s): batch response: x\n" % (b"0" * 64),
    b"error: object 0a: badTree: x\nfatal: fsck error in packed object\n",
    b"git@a: Permission denied (publickey).\nfatal: Could not read from remote repository.\n",
    b"<= Recv header: HTTP/1.1 503 Busy\n<= Recv header: Retry-After: 5\n<= Recv header: content-type: text/html\n",
]  # fmt: skip
ANSWERS = [
    b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "a"\r\n\r\nhello',
    b'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-8/9\r\nETag: "a"\r\nContent-Length: 5\r\n\r\nhello',
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 429 Slow\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\nContent-Type: text/xml\r\n\r\n<Message>a</Message>",
    b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n",
    b'HTTP/1.1 416 No\r\nContent-Range: bytes */9\r\nContent-Type: application/json\r\n\r\n{"a": 1}',
    b'HTTP/1.1 200 OK\r\n\r\n{"statuses": [{"context": "stepkit", "state": "success"}]}',
    b'HTTP/1.1 200 OK\r\n\r\n{"metadata": {"continue": ""}, "items": [{"metadata": {"name": "a", "uid": "u", "labels": '
    b'{"tekton.dev/pipeline": "p"}}, "spec": {"params": [{"name": "a", "value": "b"}]}, "status": {"completionTime": '
    b'"2026-11-30T10:00:00Z", "conditions": [{"type": "Succeeded", "status": "True", "reason": "r"}]}}]}',
    b"HTTP/1.1 400 Bad\r\nContent-Length: 30\r\n\r\npushed metrics are invalid: \x1b[31m",
    b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(run_records.failed()).encode()[:2000],
]  # fmt: skip
_HEADERS = texts(["HTTP/1.1 206 Partial\r\n", "ETag: W/", "bytes */", "Content-Range: ", "\r\n\r\n", "\r\n",
                  "HTTP/1.1 301 M\r\nLocation: ", "0\r\n\r\n", "fffffffff\r\n", "Content-Encoding: gzip\r\n"])  # fmt: skip


@cache
def server() -> tuple[str, list[bytes]]:
    """Return the address of a server, and the bytes that it answers to everything."""
    answer: list[bytes] = [b""]

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(0.5)
            self.request.recv(65536)
            self.request.sendall(answer[0])

    class Server(socketserver.TCPServer):
        allow_reuse_address = True

        def handle_error(self, *_: object) -> None:
            """Say nothing of a client that hung up."""

    served = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()
    return f"http://127.0.0.1:{served.server_address[1]}", answer


def asking(ask: Callable[[str, Path], object]) -> Callable[[Path], None]:
    """Return a reader that lets ``ask`` ask a server which answers with the file's bytes."""

    def read(path: Path) -> None:
        address, answer = server()
        answer[0] = path.read_bytes()
        ask(address, path)

    return read


def ask_for_range(address: str, path: Path) -> None:
    """Go on with a partial file of 4 bytes."""
    partial_file = PartialFile(path=path.with_name("p"), sidecar=path.with_name("p.json"))
    partial_file.path.write_bytes(b"data")
    source = Source(f"{address}/f")
    request = Request(name="f", promised_by="the manifest", sha256="0" * 64, md5=None, size=None,
                      sources=(source,), pace=Pace(stall=2, until=time.monotonic() + 4), attempts=1)  # fmt: skip
    range_request.complete(source, partial_file, request, "")


def ask_for_status(address: str, _: Path) -> None:
    commit = github_status.Commit(
        repository="a/b", sha="0" * 40, context="stepkit", api_url=address, token="t0ken"
    )
    github_status.read_status(commit, timeout=2)


def ask_for_runs(address: str, path: Path) -> None:
    access = cluster_runs.ClusterAccess(server=address, namespace="n", token="t", authority=path)
    for number, run in enumerate(cluster_runs.listed(access)):
        cluster_runs.delete(access, run)
        if number > 3:  # a server may go on for ever
            break


def translate(path: Path) -> None:
    said = text(path)
    raise git_errors.translate(
        said, "cannot clone https://a/b", path.parent, server_answer.read(said)
    )


def find_error(path: Path) -> None:
    assert "\n" not in venv.find_error(text(path))


_answer = partial(Reader, of=_HEADERS, cost=4)
READERS = {
    "git-stderr": Reader(read=translate, seeds=GIT, of=texts(["fatal: ", "error: ", "No user exists for uid ", "HTTP 503"])),
    "installer": Reader(read=find_error, seeds=[b"error: x\n  caused by: y\n"], of=texts(["error: ", "Error", " |"])),
    "retry-after": Reader(read=lambda path: status_codes.retry_after_seconds(text(path)),
                          seeds=[b"120", b"Fri, 31 Dec 1999 23:59:59 GMT"], of=texts(["+9999", " GMT", "-0000", "Dec"])),
    "content-range": _answer(read=asking(ask_for_range), seeds=ANSWERS),
    "github-status": _answer(read=asking(ask_for_status), seeds=[ANSWERS[6], *ANSWERS]),
    "cluster-runs": _answer(read=asking(ask_for_runs), seeds=[ANSWERS[7], *ANSWERS]),
    "pushgateway": _answer(read=asking(lambda address, _: PushOptions(metrics_push=address).push(
        "a 1\n", title="t", taken=())), seeds=ANSWERS),
    "baseline-answer": _answer(read=asking(lambda address, _: baseline._download(f"{address}/run.json", FAR)),
                               seeds=ANSWERS),
}  # fmt: skip
