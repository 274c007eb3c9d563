"""Where a report may link to: web pages, commits, and files beside it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from pathlib import Path

    from stepkit.report.run_json import RepositoryJson

_FORGES: Final = {"github.com": "commit", "gitlab.com": "-/commit", "bitbucket.org": "commits"}
_SCP_LIKE: Final = re.compile(r"(?:[\w.-]+@)?(?P<host>[\w.-]+):(?P<path>[^/].*)")
_COMMIT: Final = re.compile(r"[0-9a-f]{7,64}")


def web_url(url: str | None) -> str:
    """Return ``url`` if a browser can open it: http or https, with a host, without a password."""
    try:
        parts = urlsplit(url or "")
        is_web = (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
        )
    except ValueError:
        return ""
    return quote(url or "", safe="%/:=&?~#+!$,;'@()*[]", errors="replace") if is_web else ""


def commit_url(repository: RepositoryJson) -> str:
    """Return the page of a checkout's commit on GitHub, GitLab or Bitbucket, else ``""``.

    A server whose name begins with ``gitlab.`` or ``github.`` is one of those, too.
    """
    url = repository["url"]
    if found := _SCP_LIKE.fullmatch(url):
        url = f"https://{found['host']}/{found['path']}"
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return ""
    name = next((n for n in _FORGES if host == n or host.startswith(n.partition(".")[0] + ".")), "")
    path = parts.path.strip("/").removesuffix(".git")
    if not name or not path or not _COMMIT.fullmatch(repository["commit"]):
        return ""
    return web_url(
        f"https://{host}/{quote(path, errors='replace')}/{_FORGES[name]}/{repository['commit']}"
    )


def href(path: str, anchor: str = "") -> str:
    """Return a relative link to a file of the run; ``path`` is relative, with ``/``."""
    return quote(path, errors="replace") + (f"#{anchor}" if anchor else "")


def relative_address(directory: Path, start: Path) -> str:
    """Return the address of ``directory`` for a page in ``start``: ``""``, or one ending in /."""
    if directory == start:
        return ""
    return quote(os.path.relpath(directory, start), errors="surrogateescape") + "/"


def is_inside(path: str | None) -> bool:
    """Return whether a file lies in the run's directory: published with it, it can be linked."""
    return bool(path) and not path.startswith("/") and ".." not in path.split("/")  # type: ignore[union-attr]
