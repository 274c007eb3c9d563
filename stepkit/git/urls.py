"""What may stand where git expects a URL, a revision or a refspec."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from stepkit.errors import ConfigurationError
from stepkit.git.environment import PROTOCOLS, origin

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from stepkit.git.environment import Access

_LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}
_SCP: Final = re.compile(r"(?:[\w.][\w.-]*@)?[\w.][\w.-]+:(?!:)")  # git@host:path
_NO_REF: Final = re.compile(r"^[-/]|[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(^|/)\.|\.lock(/|$)|[./]$")
_NO_REFSPEC: Final = re.compile(r"^-|[\x00-\x20\x7f~^?\[\\]|\.\.|@\{")


def check_url(access: Access) -> None:
    """Refuse a URL that holds credentials, that git would run as a command, or that is no URL.

    Raises :class:`ConfigurationError`.
    """
    url = access.url
    try:
        parts = urlsplit(url)
    except ValueError as error:  # its text may hold a password: not shown
        shown = re.sub(r"//.*@", "//", url, flags=re.DOTALL)
        raise ConfigurationError(f"{shown!r} is no repository URL: its host is wrong") from error
    ssh = url.startswith("ssh://") or ("://" not in url and bool(_SCP.match(url)))
    if not ssh and parts.scheme not in PROTOCOLS:
        allowed = ", ".join(f"{name}://" for name in PROTOCOLS)
        hint = f" (write file://{os.path.abspath(url)})" if os.path.exists(url) else ""  # noqa: PTH100, PTH110 - never raises
        raise ConfigurationError(
            f"{url!r} is no repository URL: it begins with none of {allowed}{hint}"
        )
    if re.search(r"[\x00-\x20\x7f]|%0[ad]", url, re.IGNORECASE):
        raise ConfigurationError(f"{_shown(url)!r} holds a blank or control character")
    if ssh:
        _check_ssh(access, parts)
        return
    if "@" in parts.netloc:
        raise ConfigurationError(
            f"the URL of {parts.hostname}{parts.path} holds credentials: "
            "pass the token in the environment variable GIT_TOKEN, or as a file with --token-file"
        )
    here = any(one.origin in {"", origin(url)} for one in access.credentials)
    if here and parts.scheme == "http" and not is_loopback(url):
        raise ConfigurationError(f"a token must not travel unencrypted: use https:// for {url}")


def is_loopback(url: str) -> bool:
    """Tell whether ``url`` is of this very machine."""
    return urlsplit(url).hostname in _LOOPBACK


def check_revision(revision: str) -> None:
    """Refuse what no branch or tag can be called (git-check-ref-format(1)), options and ranges.

    Raises :class:`ConfigurationError`.
    """
    if revision in {"", "@"} or _NO_REF.search(revision):
        raise ConfigurationError(f"{revision!r} is no branch, tag or full commit")


def check_refspec(refspec: str) -> None:
    """Refuse what is no ``+SOURCE:TARGET``, options above all.

    Raises :class:`ConfigurationError`.
    """
    if _NO_REFSPEC.search(refspec) or refspec.count(":") > 1:
        raise ConfigurationError(f"{refspec!r} is no refspec, such as refs/pull/7/head:refs/pull/7")


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
