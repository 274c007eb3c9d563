"""Check the URL, the revision and the refspecs before git gets them."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from stepkit.errors import ConfigurationError
from stepkit.git.environment import PROTOCOLS, origin, uses_proxy
from stepkit.http import addresses

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from stepkit.git.environment import Access

_LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}
_SCP: Final = re.compile(r"(?:[\w.][\w.-]*@)?(?P<host>[\w.][\w.-]+):(?!:)")  # git@host:path
_INVALID_REF: Final = re.compile(
    r"^[-/]|[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(^|/)\.|\.lock(/|$)|[./]$"
)
_INVALID_REFSPEC: Final = re.compile(r"^-|[\x00-\x20\x7f~^?\[\\]|\.\.|@\{")


def check_url(access: Access) -> None:
    """Refuse a URL that holds credentials, that git would run as a command, or that is not a URL.

    Raises :class:`ConfigurationError`.
    """
    url = access.url
    try:
        parts = urlsplit(url)
    except ValueError as error:  # the text of the error may hold a password
        shown = re.sub(r"//.*@", "//", url, flags=re.DOTALL)
        raise ConfigurationError(f"{shown!r} is not a repository URL: its host is wrong") from error
    ssh = url.startswith("ssh://") or ("://" not in url and bool(_SCP.match(url)))
    if not ssh and parts.scheme not in PROTOCOLS:
        allowed = ", ".join(f"{name}://" for name in PROTOCOLS)
        hint = f" (write file://{os.path.abspath(url)})" if os.path.exists(url) else ""  # noqa: PTH100, PTH110 - never raises
        raise ConfigurationError(
            f"{url!r} is not a repository URL: it begins with none of {allowed}{hint}"
        )
    if re.search(r"[\x00-\x20\x7f]|%0[ad]", url, re.IGNORECASE):
        raise ConfigurationError(f"{_shown(url)!r} holds a blank or control character")
    if "://" in url and parts.scheme != "file" and not parts.hostname:
        raise ConfigurationError(f"{_shown(url)!r} is not a repository URL: it names no host")
    check_host(access, url)
    if ssh:
        _check_ssh(access, parts)
        return
    if "@" in parts.netloc:
        raise ConfigurationError(
            f"the URL of {parts.hostname}{parts.path} holds credentials: "
            "pass the token in the environment variable GIT_TOKEN, or as a file with --token-file"
        )
    ours = any(one.origin in {"", origin(url)} for one in access.credentials)
    if ours and parts.scheme == "http" and not is_loopback(url):
        raise ConfigurationError(f"a token must not travel unencrypted: use https:// for {url}")


def check_host(access: Access, url: str) -> None:
    """Refuse a server where clouds keep credentials, by whatever spelling or name of its address.

    A name is looked up unless a proxy does that. Raises :class:`ConfigurationError`.
    """
    if "://" in url:
        host = urlsplit(url).hostname
    else:
        host = found["host"] if (found := _SCP.match(url)) else None
    if host:  # curl decodes it
        addresses.check(unquote(host), _shown(url), look_up=not uses_proxy(access))


def is_loopback(url: str) -> bool:
    """Return whether the host of ``url`` is this machine."""
    return urlsplit(url).hostname in _LOOPBACK


def check_revision(revision: str) -> None:
    """Refuse names that git-check-ref-format(1) refuses, and options and ranges.

    Raises :class:`ConfigurationError`.
    """
    if revision in {"", "@"} or _INVALID_REF.search(revision):
        raise ConfigurationError(f"{revision!r} is not a branch, tag or full commit")


def check_refspec(refspec: str) -> None:
    """Refuse options, and all else that is not ``+SOURCE:TARGET``.

    Raises :class:`ConfigurationError`.
    """
    if _INVALID_REFSPEC.search(refspec) or refspec.count(":") > 1:
        raise ConfigurationError(
            f"{refspec!r} is not a refspec, such as refs/pull/7/head:refs/pull/7"
        )


def _check_ssh(access: Access, parts: SplitResult) -> None:
    if not access.ssh_command:
        raise ConfigurationError(
            f"{_shown(access.url)} needs an ssh key: name the directory that holds it with "
            "--ssh-directory, or use https:// and a token"
        )
    if access.url.startswith("ssh://") and parts.password is not None:
        raise ConfigurationError(
            f"the URL {_shown(access.url)} holds a password: ssh takes a key instead"
        )


def _shown(url: str) -> str:
    return re.sub(r"//[^@]*@", "//", url)
