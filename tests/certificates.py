"""Certificates for servers of the tests, made with openssl."""

import shutil
import subprocess
from pathlib import Path

import pytest

_SERVER = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")


def make_certificate(path: Path, *more: str) -> Path:
    """Make a self-signed certificate of 127.0.0.1; return a file with it and its key.

    ``more`` are arguments for openssl in place of that address.
    """
    key = _new_certificate(path, *(more or _SERVER))
    return _joined(path.with_name("server.pem"), key, path)


def make_authority(directory: Path) -> tuple[Path, Path]:
    """Return the certificate of a new authority, and a file with a server's and its key."""
    authority = directory / "authority.pem"
    key = _new_certificate(authority, "-subj", "/CN=authority")
    server = directory / "certificate.pem"
    signed = ("-CA", str(authority), "-CAkey", str(key), "-addext", "basicConstraints=CA:FALSE")
    server_key = _new_certificate(server, *signed, *_SERVER)
    return authority, _joined(directory / "server.pem", server_key, server)


def _new_certificate(path: Path, *more: str) -> Path:
    """Make a certificate at ``path``; return the file of its key."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl to make a certificate with")
    key = path.with_suffix(".key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-out", str(path), "-keyout", str(key), *more]
    subprocess.run(command, check=True, capture_output=True)
    return key


def _joined(path: Path, *parts: Path) -> Path:
    path.write_text("".join(part.read_text() for part in parts))
    return path
