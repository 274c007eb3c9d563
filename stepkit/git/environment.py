"""The environment of the git programs that stepkit runs: settings and credentials."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from stepkit import redaction

if TYPE_CHECKING:
    from collections.abc import Iterator

PROTOCOLS: Final = ("https", "http", "file")

# The git configuration of the user and of the image does not apply: its hooks and helpers must not
# run, and an inherited GIT_DIR must not name another repository.
_BARE_ENVIRONMENT: Final = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",  # git status does not write to the checkout
    "GIT_ALLOW_PROTOCOL": "",
    "LC_ALL": "C",
}
_SETTINGS: Final = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "checkout.workers": "4",  # where git waits for a disk, or has more than one core
    "gc.auto": "0",
    "maintenance.auto": "false",
    "transfer.fsckObjects": "true",
    "http.followRedirects": "initial",
    "safe.directory": "*",  # the workspace may belong to another uid
}
LFS_SETTINGS: Final = {  # what `git lfs install` writes
    "filter.lfs.clean": "git-lfs clean -- %f",
    "filter.lfs.smudge": "git-lfs smudge -- %f",
    "filter.lfs.process": "git-lfs filter-process",
    "filter.lfs.required": "true",
    "checkout.workers": "1",  # with more, git-lfs says "EOF" in place of what the server did
    "lfs.transfer.maxRetries": "3",  # of one file; stepkit tries all again after that
}
_KEPT_VARIABLES: Final = ("PATH", "HOME", "TMPDIR", "https_proxy", "HTTPS_PROXY", "http_proxy",
                          "no_proxy", "NO_PROXY", "SSL_CERT_FILE", "GIT_SSL_CAINFO")  # fmt: skip


@dataclass(frozen=True, kw_only=True, repr=False)
class Credential:
    """A user name and a token for a server; ``repr`` does not show them.

    ``origin`` is the server's ``https://host:port``; empty means the repository's own server.
    """

    username: str
    token: str
    origin: str = ""


@dataclass(frozen=True, kw_only=True, repr=False)
class Access:
    """How to reach a repository and its submodules; ``repr`` shows no password of a proxy.

    ``timeout`` is for each git command, in seconds.
    """

    url: str
    credentials: tuple[Credential, ...] = ()
    ssh_command: str = ""
    verify: bool = True
    ca_file: Path | None = None
    ca_directory: Path | None = None
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""
    lfs: bool = False
    timeout: float = 600.0
    verbose: bool = False


@dataclass(frozen=True, kw_only=True)
class GitEnvironment:
    """The whole environment of a git program, and the open files that it inherits.

    ``trace`` is the one of these to which git writes what a server answers.
    """

    variables: Mapping[str, str]
    descriptors: tuple[int, ...] = ()
    trace: int | None = None


@contextmanager
def environment(access: Access) -> Iterator[GitEnvironment]:
    """Yield the environment of a git call, with each credential for its own host alone.

    Only a credential helper for one origin keeps a token out of argv, ``.git/config``, the
    environment of children, and requests to another host after a redirect. The helper reads a
    memory file, because a file on disk would outlive a SIGKILL.
    """
    settings = _SETTINGS | (LFS_SETTINGS if access.lfs else {})
    settings |= {} if access.verify else {"http.sslVerify": "false"}
    with ExitStack() as stack:
        trace = os.memfd_create("stepkit-trace")
        stack.callback(os.close, trace)
        descriptors = [trace]
        if access.credentials:
            settings["credential.helper"] = ""  # removes any other helper
        for credential in access.credentials:
            secret = os.memfd_create("stepkit-credential")
            stack.callback(os.close, secret)
            lines = f"username={credential.username}\npassword={credential.token}\n"
            os.write(secret, lines.encode())
            helper = f'!f() {{ test "$1" = get && cat /dev/fd/{secret}; }}; f'
            settings[f"credential.{credential.origin or origin(access.url)}.helper"] = helper
            descriptors.append(secret)
        yield GitEnvironment(
            variables=_variables(settings) | _network_variables(access) | _trace_variables(trace),
            descriptors=tuple(descriptors),
            trace=trace,
        )


def without_server(*, lfs: bool = False) -> GitEnvironment:
    """Return the environment of a git call that cannot reach any server."""
    return GitEnvironment(variables=_variables(_SETTINGS | (LFS_SETTINGS if lfs else {})))


def origin(url: str) -> str:
    """Return the scheme, host and port of ``url``, for which a credential is valid."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def uses_proxy(access: Access) -> bool:
    """Return whether requests may go through a proxy, which then looks up the names of servers."""
    inherited = (os.environ.get(name) for name in ("http_proxy", "https_proxy", "HTTPS_PROXY"))
    return any((access.http_proxy, access.https_proxy, *inherited))


def _network_variables(access: Access) -> dict[str, str]:
    # Only a repository on this machine may have submodules on this machine.
    protocols = ["https", "http", *(["file"] if access.url.startswith("file://") else [])]
    protocols += ["ssh"] if access.ssh_command else []
    for proxy in (access.http_proxy, access.https_proxy):
        redaction.register_url(proxy)
    given = {
        "GIT_SSL_CAINFO": str(access.ca_file or ""),
        "GIT_SSL_CAPATH": str(access.ca_directory or ""),
        "GIT_SSH_COMMAND": access.ssh_command,
        "GIT_SSH_VARIANT": "ssh" if access.ssh_command else "",
        "http_proxy": access.http_proxy,
        "https_proxy": access.https_proxy,
        "HTTPS_PROXY": access.https_proxy,
        "no_proxy": access.no_proxy,
        "NO_PROXY": access.no_proxy,
    }
    return {
        "GIT_ALLOW_PROTOCOL": ":".join(protocols),
        "GIT_HTTP_LOW_SPEED_LIMIT": "1000",  # bytes a second; a transfer that is slower
        "GIT_HTTP_LOW_SPEED_TIME": "30",  # for so many seconds has stalled
        **{name: value for name, value in given.items() if value},
    }


def _trace_variables(trace: int) -> dict[str, str]:
    return {"GIT_TRACE_CURL": f"/dev/fd/{trace}", "GIT_TRACE_CURL_NO_DATA": "1"}


def _variables(settings: Mapping[str, str]) -> dict[str, str]:
    env = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    env |= _BARE_ENVIRONMENT | {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return env
