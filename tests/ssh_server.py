"""An ssh server on this machine, with a key that it knows."""

import getpass
import os
import pwd
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from samples import Origin


def skip_without_account() -> None:
    """Skip the test for a uid that has no name: ssh and ssh-keygen do not run for it."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        pytest.skip("ssh does not run for a uid without a name in /etc/passwd")


class SshServer:
    """A real sshd, for the user that runs the tests."""

    def __init__(self, place: Path) -> None:
        program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
        if not program or not shutil.which("ssh"):
            pytest.skip("ssh or sshd is not installed")
        skip_without_account()
        place.mkdir()
        self.keys = place / "keys"
        self.keys.mkdir()
        _make_keys(place, self.keys)
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port: int = found.getsockname()[1]
        _configure(place, self.port)
        kind, key = (place / "host.pub").read_text().split()[:2]
        self.known = f"[127.0.0.1]:{self.port} {kind} {key}\n"
        self.process, self.reader = _listening(program, place / "config")

    def url(self, origin: Origin) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{origin.path}"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()


def make_key(path: Path) -> None:
    """Make a private key at ``path``, and a public one beside it."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True)


def _make_keys(place: Path, keys: Path) -> None:
    """Make the key of the host, and the one that it lets in."""
    make_key(place / "host")
    make_key(keys / "ssh-privatekey")
    (keys / "ssh-privatekey.pub").rename(place / "authorized")


def _configure(place: Path, port: int) -> None:
    settings = {
        "HostKey": place / "host",
        "AuthorizedKeysFile": place / "authorized",
        "ListenAddress": f"127.0.0.1:{port}",
        "StrictModes": "no",
        "PidFile": "none",
        "UsePAM": "no",
        "PermitRootLogin": "prohibit-password",
    }
    (place / "config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))


def _listening(program: str, config: Path) -> tuple[subprocess.Popen[str], threading.Thread]:
    """Start the server, and what reads its log: a full pipe would stop it."""
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    listen = [program, "-D", "-e", "-f", str(config)]
    process = subprocess.Popen(listen, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = next((line for line in process.stderr if "Server listening" in line), "")
    assert said, "sshd ended before it listened"
    reader = threading.Thread(target=process.stderr.read, daemon=True)
    reader.start()
    return process, reader
