"""The real kubectl, asked to talk to a server of a test."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import loopback
import pytest


@contextmanager
def served(handler: type[BaseHTTPRequestHandler], directory: Path) -> Iterator[Path]:
    """Serve ``handler`` and yield a kubeconfig of it in ``directory``; skip without kubectl."""
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl")
    with loopback.running(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        made = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "x",
            "clusters": [{"name": "x", "cluster": {"server": url}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            "users": [{"name": "x", "user": {}}],
        }
        (directory / "config").write_text(json.dumps(made))
        yield directory / "config"
