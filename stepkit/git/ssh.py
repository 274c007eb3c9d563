"""The ssh command for git, with the keys of a mounted Secret."""

from __future__ import annotations

import os
import re
import shlex
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, Literal

from stepkit.errors import ConfigurationError, Reason
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterator

HostKeyPolicy = Literal["yes", "accept-new"]

_LARGEST_FILE: Final = 2**20  # bytes; a known_hosts of a large site has some 100 kB
_PRIVATE_KEY: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_HOME: Final = re.compile(rb"(~|%d|\$\{HOME\}|\$HOME)/\.ssh/")


@contextmanager
def command(directory: Path, policy: HostKeyPolicy) -> Iterator[str]:
    """Yield the value of ``GIT_SSH_COMMAND`` for the keys of a ``.ssh`` directory.

    The keys are copied, as ssh requires: a mounted Secret is readable by its group. The copies are
    in memory, because files on disk would outlive a SIGKILL; a private directory has links to them,
    and the other files. It is removed at the end of the block. ssh uses no other key, does not
    prompt, and trusts the servers in ``known_hosts`` (and in that of the machine) alone; with
    ``accept-new`` also a server at the first contact.

    Raises :class:`ConfigurationError` for a directory without a private key.
    """
    with TemporaryDirectory(prefix="stepkit-ssh-") as place, ExitStack() as stack:
        copies = list(_copy_files(directory, Path(place), stack))
        keys = [path for path in copies if _PRIVATE_KEY.match(path.read_bytes())]
        if not keys:
            names = ", ".join(path.name for path in copies) or "nothing"
            raise ConfigurationError(
                f"{directory} does not hold a private ssh key (it holds {names})",
                reason=Reason.AUTH,
            )
        config = Path(place, "config")
        parts = ["ssh", "-F", str(config if config.is_file() else os.devnull)]
        for key in keys:
            parts += ["-i", str(key)]
        settings = {
            "IdentitiesOnly": "yes",
            "BatchMode": "yes",
            "StrictHostKeyChecking": policy,
            "UserKnownHostsFile": str(Path(place, "known_hosts")),
            "ConnectTimeout": "30",
        }
        for name, value in settings.items():
            parts += ["-o", f"{name}={value}"]
        yield shlex.join(parts)


def _copy_files(directory: Path, place: Path, stack: ExitStack) -> Iterator[Path]:
    with atomic_files.explaining(f"cannot read the ssh directory {directory}"):
        found = sorted(path for path in directory.iterdir() if not path.name.startswith(".."))
    for path in found:
        if not path.is_file():  # Kubernetes' ..data, a socket
            continue
        with atomic_files.explaining(f"cannot read {path}"):
            if path.stat().st_size > _LARGEST_FILE:
                raise ConfigurationError(f"{path} is larger than 1 MiB: it is not a file for ssh")
            content = path.read_bytes()
        if _PRIVATE_KEY.match(content):  # a Secret made by hand often lacks the last newline
            content = content.replace(b"\r\n", b"\n").rstrip() + b"\n"
            (place / path.name).symlink_to(_in_memory(content, stack))
            yield place / path.name
            continue
        if path.name == "config":
            content = _HOME.sub(os.fsencode(place).replace(b"\\", rb"\\") + b"/", content)
        copy = place / path.name
        copy.touch(mode=0o600)
        copy.write_bytes(content)
        yield copy


def _in_memory(key: bytes, stack: ExitStack) -> Path:
    """Return the path of a file in memory, which ssh, that closes what it inherits, can open."""
    file = os.memfd_create("stepkit-key")
    stack.callback(os.close, file)
    os.fchmod(file, 0o600)
    os.write(file, key)
    return Path(f"/proc/{os.getpid()}/fd/{file}")
