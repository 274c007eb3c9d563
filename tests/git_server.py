"""A git server over HTTP, with a login or TLS if asked, and a proxy; all on this machine."""

import os
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from pathlib import Path

import loopback

Refuse = Callable[[loopback.Handler], bool]
Send = Callable[[loopback.Handler, int, bytes, dict[str, str]], None]


class GitServer(ThreadingHTTPServer):
    """Serves the repositories below ``root`` by git's own CGI program.

    ``login`` is the value of Authorization that it asks for. As a proxy, it hands requests on. It
    refuses a request for each entry of ``busy``, which is the value of Retry-After. ``refuse`` may
    answer a request itself, and then returns True; ``send`` sends what git's program answers.
    """

    daemon_threads = True

    def __init__(self, root: Path, *, login: str = "", proxy: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.login = login
        self.proxy = proxy
        self.busy: list[str] = []
        self.refuse: Refuse = lambda _: False
        self.send: Send = loopback.Handler.answer
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving(server: GitServer, certificate: Path | None = None) -> Iterator[GitServer]:
    """Serve until the block ends; over TLS with the key and certificate of one file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
    if context and certificate:
        context.load_cert_chain(certificate)
    with loopback.running(server, context):
        yield server


class _Handler(loopback.Handler):
    server: GitServer

    def do_GET(self) -> None:
        header = "Proxy-Authorization" if self.server.proxy else "Authorization"
        self.server.asked.append((self.path, self.headers[header]))
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.server.refuse(self):
            return
        if self.server.login and self.headers[header] != self.server.login:
            code, ask = (
                (407, "Proxy-Authenticate") if self.server.proxy else (401, "WWW-Authenticate")
            )
            self.answer(code, headers={ask: 'Basic realm="x"'})
        elif self.server.busy:
            self.answer(429, headers={"Retry-After": self.server.busy.pop()})
        elif self.server.proxy:
            self._hand_on(body)
        else:
            self._serve(body)

    def do_POST(self) -> None:
        self.do_GET()

    def _hand_on(self, body: bytes) -> None:
        _, _, host, path = self.path.split("/", 3)
        connection = HTTPConnection(host)
        headers = {name: value for name, value in self.headers.items() if "roxy" not in name}
        connection.request(self.command, f"/{path}", body, headers)
        answer = connection.getresponse()
        kept = {n: v for n, v in answer.getheaders() if n.lower() == "content-type"}
        self.answer(answer.status, answer.read(), kept)
        connection.close()

    def _serve(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers["Content-Type"] or "",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers["Content-Encoding"] or "",
            "GIT_PROTOCOL": self.headers["Git-Protocol"] or "",
        }
        done = subprocess.run(
            ["git", "http-backend"], env=environment, input=body, capture_output=True, check=False
        )
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
        self.server.send(self, int(headers.pop("Status", "200")[:3]), answer, headers)
