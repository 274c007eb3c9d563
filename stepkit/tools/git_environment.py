"""What a git program that stepkit runs may see: its settings, and a credential for one host."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

PROTOCOLS: Final = ("https", "http", "file")

# Nothing of the user's or the image's git configuration applies: a hook or a helper of somebody
# else's must not run, and an inherited GIT_DIR must not redirect us.
_BARE_ENVIRONMENT: Final = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",  # looking at a checkout changes nothing in it
    "LC_ALL": "C",
}
_SETTINGS: Final = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "transfer.fsckObjects": "true",
    "http.followRedirects": "initial",
    "safe.directory": "*",  # the workspace may belong to another uid
}
_KEPT_VARIABLES: Final = ("PATH", "HOME", "TMPDIR", "https_proxy", "HTTPS_PROXY", "http_proxy",
                          "no_proxy", "NO_PROXY", "SSL_CERT_FILE", "GIT_SSL_CAINFO")  # fmt: skip


@dataclass(frozen=True, kw_only=True, repr=False)
class Credential:
    """Who we are to a server; the token is shown by no ``repr``."""

    username: str
    token: str


@dataclass(frozen=True, kw_only=True)
class GitEnvironment:
    """The whole environment of a git program, and the open files that it inherits."""

    variables: Mapping[str, str]
    descriptors: tuple[int, ...] = ()


@contextmanager
def environment(url: str, credential: Credential | None) -> Iterator[GitEnvironment]:
    """Yield the environment of a git call: ours alone, with a credential for ``url``'s host alone.

    A credential helper scoped to one origin is the only way that leaks neither to argv, to
    ``.git/config``, to children's environments, nor to another host after a redirect. It reads
    memory that ends with us: a file would outlive a SIGKILL.
    """
    if credential is None:
        yield without_credential()
        return
    secret = os.memfd_create("stepkit-credential")
    try:
        lines = f"username={credential.username}\npassword={credential.token}\n"
        os.write(secret, lines.encode())
        parts = urlsplit(url)
        helper = f'!f() {{ test "$1" = get && cat /dev/fd/{secret}; }}; f'
        settings = {
            "credential.helper": "",  # forget any other helper first
            f"credential.{parts.scheme}://{parts.netloc}.helper": helper,
        }
        yield GitEnvironment(variables=_variables(_SETTINGS | settings), descriptors=(secret,))
    finally:
        os.close(secret)


def without_credential() -> GitEnvironment:
    """Return the environment of a git call that needs no server."""
    return GitEnvironment(variables=_variables(_SETTINGS))


def _variables(settings: Mapping[str, str]) -> dict[str, str]:
    env = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    env |= _BARE_ENVIRONMENT | {
        "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS),
        "GIT_HTTP_LOW_SPEED_LIMIT": "1000",  # bytes a second; slower than this for
        "GIT_HTTP_LOW_SPEED_TIME": "30",  # so many seconds is a stall
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, (key, value) in enumerate(settings.items()):
        env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return env
