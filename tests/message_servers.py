"""Real servers on this machine that take messages: web hooks, GitHub's API, e-mail."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Web:
    """A server and its requests; it answers with ``statuses``, then ``always`` or success."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    always: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    stalls: bool = False
    endless: bool = False
    over: threading.Event = field(default_factory=threading.Event)


class _WebHandler(BaseHTTPRequestHandler):
    web: Web

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.web.requests.append(Request(self.path, headers, body))
        if self.web.stalls:
            self.web.over.wait(60)
            return
        status = self.web.statuses.pop(0) if self.web.statuses else self.web.always
        if status is None:
            status = 201 if self.path.startswith("/repos/") else 200  # as GitHub, as chats
        answer = b'{"message": "by the test"}'
        self.send_response(status)
        length = {} if self.web.endless else {"Content-Length": str(len(answer))}
        for name, value in {**self.web.headers, **length}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)
        while self.web.endless and not self.web.over.wait(0.1):
            self.wfile.write(b" ")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class _MailHandler(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a client needs to hand over a message."""

    mails: list[str]

    def handle(self) -> None:
        self.say("220 test")
        while line := self.rfile.readline().decode().strip():
            command = line.upper()
            if command.startswith(("HELO", "EHLO", "MAIL", "RCPT", "RSET")):
                self.say("250 ok")
            elif command == "DATA":
                self.say("354 go on")
                lines = iter(lambda: self.rfile.readline().decode(), ".\r\n")
                self.mails.append("".join(lines))
                self.say("250 taken")
            elif command == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("502 unknown")

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@contextmanager
def _running(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def web() -> Iterator[Web]:
    state = Web()
    handler = type("Handler", (_WebHandler,), {"web": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    with _running(server):
        try:
            yield state
        finally:
            state.over.set()


@contextmanager
def mail() -> Iterator[tuple[int, list[str]]]:
    """Yield the port, and the list of the mails that are received."""
    mails: list[str] = []
    handler = type("Handler", (_MailHandler,), {"mails": mails})
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    with _running(server):
        yield int(server.server_address[1]), mails
