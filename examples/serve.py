"""A local git server for the demo and for tests.

It makes a repository of each directory and serves it over HTTP by ``git http-backend``, on a free
port of 127.0.0.1. Private repositories require a token.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
import shutil
import subprocess
from contextlib import ExitStack, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING, Final, Self

from stepkit.git.make_repository import make_repository

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from email.message import Message

# The user's git configuration is ignored.
_GIT_ENVIRONMENT: Final = {
    "PATH": os.environ.get("PATH", os.defpath),
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",  # the directory may belong to another user
    "GIT_CONFIG_VALUE_0": "*",
}


class GitServer:
    """Serves directories as git repositories while the ``with`` block runs.

    ``directories`` maps the name of each repository to the directory with its files; ignored
    files are not served. A repository named in ``private`` answers 401 unless the request has
    ``token`` as the password of HTTP's Basic authentication, with any user name.
    """

    def __init__(
        self,
        directories: Mapping[str, Path],
        *,
        private: Collection[str] = (),
        token: str | None = None,
    ) -> None:
        if unknown := set(private) - set(directories):
            raise ValueError(f"private names no repository: {', '.join(sorted(unknown))}")
        if private and not token:
            raise ValueError("private repositories need a token")
        self._directories = directories
        self._private = frozenset(private)
        self._token = token or ""
        self._port = 0
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Make the repositories and serve them."""
        with ExitStack() as opened:
            root = Path(opened.enter_context(TemporaryDirectory(prefix="git-server-")))
            for name, directory in self._directories.items():
                make_repository(directory, root / f"{name}.git")
            http = opened.enter_context(_HttpServer(root, self._private, self._token))
            Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
            opened.callback(http.shutdown)
            self._port = http.server_port
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and remove the repositories."""
        self._open.close()

    def url(self, name: str) -> str:
        """Return the URL of a repository. Raises :class:`KeyError` for an unknown name."""
        if name not in self._directories:
            raise KeyError(name)
        return f"http://127.0.0.1:{self._port}/{name}.git"


def find_http_backend() -> Path | None:
    """Return the path of git's CGI program, or None if it is not installed."""
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run([git, "--exec-path"], capture_output=True, text=True, check=False)  # noqa: S603
    program = Path(done.stdout.strip(), "git-http-backend")
    return program if program.is_file() else None


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, root: Path, private: Collection[str], token: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root, self.private, self.token = root, private, token


class _Handler(BaseHTTPRequestHandler):
    """Hands requests to git http-backend as a web server would: RFC 3875."""

    protocol_version = "HTTP/1.1"
    server: _HttpServer

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, *args: object) -> None:
        """Log nothing, so that only the demo's own output is shown."""

    def _answer(self) -> None:
        body = _read_body(self)  # even if refused: the connection stays open
        path, _, query = self.path.partition("?")
        repository = re.match(r"/([\w-][\w.-]*)\.git/", path)
        if not repository or "%" in path:
            self._reply(HTTPStatus.NOT_FOUND)
        elif repository[1] in self.server.private and not self._authorised():
            self._reply(HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": 'Basic realm="git"'})
        else:
            self._run_backend(path, query, body)

    def _authorised(self) -> bool:
        scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
        decoded = b""
        with suppress(binascii.Error):
            decoded = base64.b64decode(encoded, validate=True)
        password = decoded.partition(b":")[2]
        right = hmac.compare_digest(password, self.server.token.encode())
        return scheme.lower() == "basic" and right

    def _run_backend(self, path: str, query: str, body: bytes) -> None:
        variables = _cgi_variables(self.headers) | {
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": self.client_address[0],
        }
        done = subprocess.run(
            ["git", "http-backend"],  # noqa: S607
            input=body,
            env=_GIT_ENVIRONMENT | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        lines = [line.partition(": ") for line in head.decode("latin-1").splitlines()]
        headers = {name: value for name, _, value in lines}
        status = headers.pop("Status", "200 OK" if headers else "500 Internal Server Error")
        self._reply(HTTPStatus(int(status[:3])), headers, content)

    def _reply(
        self, status: HTTPStatus, headers: Mapping[str, str] | None = None, content: bytes = b""
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _cgi_variables(headers: Message) -> dict[str, str]:
    """Return the headers that git http-backend reads, under their CGI names."""
    names = {
        "Content-Type": ("CONTENT_TYPE",),
        "Content-Encoding": ("HTTP_CONTENT_ENCODING",),  # git compresses large requests
        "Git-Protocol": ("HTTP_GIT_PROTOCOL", "GIT_PROTOCOL"),  # git before 2.36 reads the second
    }
    return {
        variable: headers[header]
        for header, variables in names.items()
        for variable in variables
        if header in headers
    }


def _read_body(request: BaseHTTPRequestHandler) -> bytes:
    """Read a request's body; git sends a body larger than http.postBuffer in chunks."""
    if request.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length") or 0))
    chunks = []
    while size := int(request.rfile.readline().split(b";")[0], 16):
        chunks.append(request.rfile.read(size))
        request.rfile.readline()
    while request.rfile.readline().strip():  # trailers
        pass
    return b"".join(chunks)
