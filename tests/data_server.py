"""A real server of one file on a free port, with ranges and validators, that fails on demand."""

from __future__ import annotations

import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

import loopback


@dataclass(frozen=True)
class Reply:
    """What the server sends: at most ``cut`` bytes of the body, then it closes or ``hangs``."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    chunked: bool = False
    sends_length: bool = True
    hangs: bool = False
    drips: bool = False
    reset: bool = False

    def having(self, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **named})


Fault: TypeAlias = Callable[[Reply], Reply]


def status(code: int, **headers: str) -> Fault:
    return lambda _: Reply(status=code).having(**headers)


def cut(parts: int = 3) -> Fault:
    return lambda reply: replace(reply, cut=max(1, len(reply.body) // parts))


def flip(reply: Reply) -> Reply:
    body = bytearray(reply.body)
    body[len(body) // 2] ^= 1
    return replace(reply, body=bytes(body))


def page(_: Reply) -> Reply:
    return Reply(body=b"<html>please log in</html>").having(Content_Type="text/html; charset=utf-8")


def fine(reply: Reply) -> Reply:
    return reply


class DataServer:
    """``faults`` are for the next requests, one each; ``always`` is for those after them."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.etag = '"v1"'
        self.heeds_ranges = self.heeds_if_range = True
        self.headers: dict[str, str] = {}  # of each answer
        self.faults: list[Fault] = []
        self.always: Fault = fine
        self.requests: list[Mapping[str, str]] = []
        self.paths: list[str] = []
        self.released = threading.Event()
        self.sent = threading.Event()  # set when the bytes before a hang are sent
        self.url = ""

    @property
    def ranges(self) -> list[str | None]:
        return [request.get("Range") for request in self.requests]

    def reply(self, asked: Message) -> Reply:
        validators = {**self.headers, "ETag": self.etag} if self.etag else self.headers
        if self.etag and asked.get("If-None-Match") == self.etag:
            return Reply(status=304, headers=validators)
        whole = Reply(headers=validators, body=self.content)
        wanted, since = asked.get("Range"), asked.get("If-Range")
        if not wanted or not self.heeds_ranges:
            return whole
        if since not in {None, self.etag} and self.heeds_if_range:
            return whole
        first, size = int(wanted.removeprefix("bytes=").rstrip("-")), len(self.content)
        if first >= size:
            return Reply(status=416).having(Content_Range=f"bytes */{size}")
        rest = replace(whole, status=206, body=self.content[first:])
        return rest.having(Content_Range=f"bytes {first}-{size - 1}/{size}")


def send(handler: BaseHTTPRequestHandler, reply: Reply, state: DataServer) -> None:
    if reply.reset:
        linger = struct.pack("ii", 1, 0)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        handler.connection.close()
        handler.close_connection = True
        return
    handler.send_response(reply.status)
    for name, value in reply.headers.items():
        handler.send_header(name, value)
    if reply.chunked:
        handler.send_header("Transfer-Encoding", "chunked")
    elif reply.sends_length and "Content-Length" not in reply.headers:
        handler.send_header("Content-Length", str(len(reply.body)))
    handler.close_connection = True
    handler.send_header("Connection", "close")
    handler.end_headers()
    send_body(handler, reply, state)


def send_body(handler: BaseHTTPRequestHandler, reply: Reply, state: DataServer) -> None:
    body = reply.body[: reply.cut] if reply.cut is not None else reply.body
    if reply.chunked:
        body = b"%x\r\n%s\r\n" % (len(body), body)
        body += b"0\r\n\r\n" if reply.cut is None else b""
    for at in range(0, len(body), 16) if reply.drips else ():
        handler.wfile.write(body[at : at + 16])
        if state.released.wait(0.05):
            return
    if not reply.drips:
        handler.wfile.write(body)
    if reply.hangs:
        state.sent.set()
        state.released.wait()


@contextmanager
def serving(content: bytes, *, tls: ssl.SSLContext | None = None) -> Iterator[DataServer]:
    """Serve ``content`` under any path."""
    state = DataServer(content)

    class Handler(loopback.Handler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            state.requests.append(dict(self.headers.items()))
            state.paths.append(self.path)
            fault = state.faults.pop(0) if state.faults else state.always
            with suppress(OSError):
                send(self, fault(state.reply(self.headers)), state)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Stay silent about a client that went away."""

        request_queue_size = 64

    with loopback.running(Server(("127.0.0.1", 0), Handler), tls) as server:
        state.url = f"http{'s' * bool(tls)}://127.0.0.1:{server.server_port}"
        try:
            yield state
        finally:
            state.released.set()


@contextmanager
def dripping(begin: bytes, drop: bytes) -> Iterator[tuple[str, threading.Event]]:
    """Answer each connection with ``begin``, then with ``drop`` for ever.

    Yield the URL, and an event that is set when the client has closed the connection.
    """
    gone, over = threading.Event(), threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                self.request.recv(65536)
                self.request.sendall(begin)
                while not over.wait(0.02):
                    self.request.sendall(drop)
                return
            gone.set()

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with loopback.running(server):
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", gone
        finally:
            over.set()
