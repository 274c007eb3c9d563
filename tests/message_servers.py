"""Real servers on this machine that take messages: web hooks, GitHub's API, e-mail."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

import loopback


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


class _WebHandler(loopback.Handler):
    web: Web

    def do_PUT(self) -> None:
        self.do_POST()

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
        if not self.web.endless:
            self.answer(status, b'{"message": "by the test"}', self.web.headers)
            return
        self.send_response(status)
        self.end_headers()
        while not self.web.over.wait(0.1):
            self.wfile.write(b" ")


class _MailHandler(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a client needs to hand over a message."""

    mails: list[str]
    refuses: dict[str, str]

    def handle(self) -> None:
        self.say("220 test")
        while line := self.rfile.readline().decode().strip():
            command = line.upper()
            if refused := self.refuses.get(command[:4]):
                self.say(refused)
            elif command.startswith(("HELO", "EHLO", "MAIL", "RCPT", "RSET")):
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
def web() -> Iterator[Web]:
    state = Web()
    handler = type("Handler", (_WebHandler,), {"web": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    with loopback.running(server):
        try:
            yield state
        finally:
            state.over.set()


@contextmanager
def mail(**refuses: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the port, and the list of the mails that are received.

    ``refuses`` has the answer to a command that is not followed: ``RCPT="550 unknown"``.
    """
    mails: list[str] = []
    handler = type("Handler", (_MailHandler,), {"mails": mails, "refuses": refuses})
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    with loopback.running(server):
        yield int(server.server_address[1]), mails
