"""Planted secrets: their values, a server that quotes them, and a look at all processes."""

from __future__ import annotations

import hashlib
import html
import json
import re
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

import loopback

Mood = Literal["serves", "refuses", "fails", "redirects", "hangs"]

STATUS: Final = {"refuses": 403, "fails": 500, "redirects": 302}
_KEPT: Final = 12  # characters of a secret; so many in a file give it away


def value(name: str) -> str:
    """Return the secret for ``name``: its middle is spelled in another way in each language."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return f"{digest[:16]}/+%&<\"'{digest[16:28]}"


def searched(secret: str) -> re.Pattern[bytes]:
    """Return what finds a secret in a file: whole or cut, plain or spelled for another language.

    All spellings but hexadecimal and base64 leave letters and digits as they are, and both its ends
    have these alone. Each line of a secret of several lines is one.
    """
    found = {secret.encode()}
    for line in (line for line in secret.splitlines() if "----" not in line and len(line) > 2 * 8):
        ends = (re.match(r"\w*", line), re.search(r"\w*$", line))
        found |= {end[0][:_KEPT].encode() for end in ends if end and len(end[0]) >= _KEPT}
        raw = line.encode()
        found.add(raw.hex().encode()[: 2 * _KEPT])
        for offset in range(3):  # three bytes are four characters
            coded = b64encode(raw[offset:]).rstrip(b"=")[:-1]
            found |= {coded[:16], coded[-16:]}
    return re.compile(b"|".join(map(re.escape, sorted(found))))


def spelled(secret: str) -> Iterator[str]:
    """Yield how servers may quote a secret."""
    yield from (secret, quote(secret, safe=""), quote(secret), html.escape(secret))
    yield secret.replace("\\", "\\\\").replace('"', '\\"').replace("/", "\\/")
    yield secret.encode().hex()
    for before in ("", "x", "xx", "x-access-token:"):
        yield b64encode(f"{before}{secret}".encode()).decode()


class Front(ThreadingHTTPServer):
    """Stands before the server of a step, and answers in its place once a request has a secret.

    It ``refuses``, ``fails`` or ``redirects`` with an answer that quotes ``secrets`` everywhere, or
    it ``hangs``. ``look`` is called for each request with a secret, while the client waits.
    """

    daemon_threads = True

    def __init__(self, behind: str, mood: Mood, secrets: list[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = behind.removeprefix("http://")
        self.mood = mood
        self.secrets = secrets
        self.speaks_json = False
        self.look: Callable[[], None] = lambda: None
        self.asked = 0
        self.reached, self.released = threading.Event(), threading.Event()
        self.led_away: list[str] = []  # secrets that followed a redirect

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def asks(self) -> Mood:
        """Note that the client has sent a secret and waits; return what it gets."""
        self.asked += 1
        self.look()
        return self.mood

    def hang(self) -> None:
        self.reached.set()
        self.released.wait(60)

    def quotation(self) -> str:
        """Return a text that holds a secret wherever it is cut, and each of its spellings."""
        said = "\n".join(text for secret in self.secrets for text in spelled(secret))
        denied = f"<Code>Denied</Code><Message>{html.escape(self.secrets[0])}</Message>"
        whole = " ".join(self.secrets * 12)
        text = f"{whole}\n{said}\n<Error>{denied}</Error>\n{whole} {whole} {whole}"
        return json.dumps({"message": text}) if self.speaks_json else text


class _Handler(loopback.Handler):
    server: Front
    raw_requestline: bytes

    def parse_request(self) -> bool:
        """Take the greeting of ssh for a request, which has no answer."""
        if not self.raw_requestline.startswith(b"SSH-"):
            return super().parse_request()
        if self.server.asks() == "hangs":
            self.server.hang()
        self.wfile.write(self.server.quotation().encode())
        return False

    def do_GET(self) -> None:
        size = int(self.headers["Content-Length"] or 0)
        body = self.rfile.read(size)
        front = self.server
        given = [v for n, v in self.headers.items() if "authorization" in n.lower()]
        if self.path.startswith("/elsewhere"):
            front.led_away += given
            self._quote(404)
        elif not (given or re.search(r"/(hooks|cell)|[?&]sig=", self.path)):
            self._hand_on(body)
        else:
            mood = front.asks()
            if mood == "hangs":
                front.hang()
            elif self.path == "/cell":  # a notebook asks: the server has no secret to quote
                self.answer(200)
            elif mood == "serves":
                self._hand_on(body)
            else:
                self._quote(STATUS[mood])

    do_POST = do_PUT = do_HEAD = do_DELETE = do_CONNECT = do_GET

    def _quote(self, status: int) -> None:
        first = self.server.secrets[0]
        place = f"http://localhost:{self.server.server_port}/elsewhere/{quote(first, safe='')}"
        text = self.server.quotation()
        self.send_response(status, f"says {first}")
        headers = {
            "Location": f"{place}?token={quote(first, safe='')}",
            "WWW-Authenticate": f'Basic realm="{first}"',
            "Content-Type": "text/plain",
            "ETag": f'"{first}"',
            "X-Error": first,
            "Content-Length": str(len(text.encode())),
        }
        for name, said in headers.items():
            self.send_header(name, said)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())

    def _hand_on(self, body: bytes) -> None:
        connection = HTTPConnection(self.server.behind)
        dropped = {"host", "connection", "accept-encoding"}
        headers = {n: v for n, v in self.headers.items() if n.lower() not in dropped}
        connection.request(self.command, self.path, body or None, headers)
        answer = connection.getresponse()
        dropped = {"connection", "transfer-encoding", "content-length", "date", "server"}
        content = answer.read()
        kept = {n: v for n, v in answer.getheaders() if n.lower() not in dropped}
        if self.command == "HEAD":
            kept["Content-Length"] = answer.getheader("Content-Length") or "0"
        self.answer(answer.status, content, kept)
        connection.close()


@contextmanager
def front(behind: str, mood: Mood, secrets: list[str]) -> Iterator[Front]:
    server = Front(behind, mood, secrets)
    with loopback.running(server):
        try:
            yield server
        finally:
            server.released.set()


@dataclass
class Look:
    """Looks for secrets in the arguments and variables of a process and of all below it.

    A command of stepkit gets secrets in its environment, and must not have them there any more when
    it has a child, or asks a server. ``left`` are the names of those that children may have, and
    ``shown`` of those that the first command line has.
    """

    root: int
    secrets: Mapping[str, re.Pattern[bytes]]
    left: frozenset[str] = frozenset()
    shown: frozenset[str] = frozenset()
    found: set[str] = field(default_factory=set)
    _over: threading.Event = field(default_factory=threading.Event)

    def now(self, *, asking: bool = True) -> None:
        """Look once; ``asking`` says that a server waits with its answer meanwhile."""
        for process, has_children in _below(self.root):
            self._look_at(Path("/proc", str(process)), settled=asking or has_children)

    def _look_at(self, process: Path, *, settled: bool) -> None:
        with suppress(OSError):  # it has ended
            arguments = (process / "cmdline").read_bytes()
            variables = (process / "environ").read_bytes()
            limit = re.search(r"core file size +(\S+)", (process / "limits").read_text())
            of_stepkit = b"-m\0stepkit\0" in arguments
            shown = arguments.replace(b"\0", b" ").decode(errors="replace")[:200]
            for name, pattern in self.secrets.items():
                may_show = of_stepkit and name in self.shown
                if pattern.search(arguments) and not may_show:
                    self.found.add(f"{name} is an argument of {shown}")
                if not pattern.search(variables):
                    continue
                if (settled or not of_stepkit) and name not in self.left:
                    self.found.add(f"{name} is a variable of {shown}")
            if settled and of_stepkit and limit and limit[1] not in {"0", "1"}:
                self.found.add(f"a crash writes the memory of {shown} to a file")

    def until_stopped(self) -> None:
        while not self._over.wait(0.01):
            self.now(asking=False)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Look again and again during the block."""
        thread = threading.Thread(target=self.until_stopped)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()


def _below(root: int) -> Iterator[tuple[int, bool]]:
    """Yield a process and all its descendants, and whether each has children."""
    waiting = [root]
    for process in waiting:
        children: list[int] = []
        with suppress(OSError):
            for task in Path(f"/proc/{process}/task").iterdir():
                children += map(int, (task / "children").read_text().split())
        waiting += children
        yield process, bool(children)
