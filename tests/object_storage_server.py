"""A real S3 server (moto's) on this machine, and a proxy before it that fails on demand."""

import http.client
import logging
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from urllib.request import Request, urlopen

import loopback
from moto.server import ThreadedMotoServer

# moto looks for a signature, and does not check it.
SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
}
_UNSAFE = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


class Storage:
    """Objects as a browser sees them."""

    def __init__(self, url: str) -> None:
        self.url = url

    def bucket(self, name: str) -> str:
        with urlopen(Request(f"{self.url}/{name}", method="PUT", headers=SIGNED)):
            return f"s3://{name}"

    def get(self, path: str) -> tuple[bytes, dict[str, str]]:
        with urlopen(Request(f"{self.url}/{path}", headers=SIGNED)) as answer:
            return answer.read(), {name.lower(): value for name, value in answer.headers.items()}

    def put(self, path: str, content: bytes) -> None:
        headers = {**SIGNED, "Content-Type": "text/plain"}
        request = Request(f"{self.url}/{path}", data=content, method="PUT", headers=headers)
        with urlopen(request):
            pass


@contextmanager
def serving() -> Iterator[Storage]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield Storage(f"http://{host}:{port}")
    finally:
        server.stop()


class Faulty:
    """What happens to the next writes: a status, ``stall``, ``corrupt`` or ``lose``, or nothing."""

    def __init__(self, url: str, behind: str) -> None:
        self.url = url
        self.behind = behind
        self.faults: list[int | str] = []
        self.always: int | str | None = None
        self.writes: list[str] = []
        self.over = threading.Event()
        self.stalled = threading.Event()

    def next(self) -> int | str | None:
        return self.faults.pop(0) if self.faults else self.always


class _Handler(loopback.Handler):
    protocol_version = "HTTP/1.1"
    control: Faulty

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.control.writes.append(self.path)
        fault = self.control.next()
        if isinstance(fault, int):
            text = b"<Error><Code>Simulated</Code><Message>by the test</Message></Error>"
            self.answer(fault, text)
        elif fault == "stall":
            self.control.stalled.set()
            self.control.over.wait(60)
            self.close_connection = True
        elif fault == "lose":
            self.answer(200, headers={"ETag": '"x"'})
        else:
            self.forward(b"?" + body[1:] if fault == "corrupt" else body)

    def do_GET(self) -> None:
        self.forward(None)

    def do_HEAD(self) -> None:
        self.forward(None)

    def forward(self, body: bytes | None) -> None:
        connection = http.client.HTTPConnection(self.control.behind)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        headers = {k: v for k, v in answer.getheaders() if k.lower() not in _UNSAFE}
        if length := answer.getheader("Content-Length"):
            headers["Content-Length"] = length  # that of the object, also after HEAD
        self.answer(answer.status, content, headers)
        connection.close()


@contextmanager
def faulty(storage: Storage, context: ssl.SSLContext | None = None) -> Iterator[Faulty]:
    """Serve ``storage`` with the faults that the test names, encrypted with a ``context``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    scheme = "https" if context else "http"
    url = f"{scheme}://127.0.0.1:{server.server_port}"
    control = Faulty(url, storage.url.removeprefix("http://"))
    server.RequestHandlerClass = type("Handler", (_Handler,), {"control": control})
    with loopback.running(server, context):
        try:
            yield control
        finally:
            control.over.set()
