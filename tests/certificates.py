"""A certificate for a server of the tests."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def make_certificate(path: Path) -> Path:
    """Make a certificate of 127.0.0.1 that signs itself; return the file that has its key, too."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl to make a certificate with")
    key = path.with_name("server.key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-out", str(path)]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    both = path.with_name("server.pem")
    both.write_text(key.read_text() + path.read_text())
    return both
