"""Set the status of a commit on GitHub, through its REST API."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from stepkit.errors import ConfigurationError
from stepkit.formats.shorten import shorten
from stepkit.http import safe_urls
from stepkit.http.post import post

State = Literal["success", "failure", "error", "pending"]

_MOST_DESCRIPTION: Final = 140  # characters (GitHub REST API, "Commit statuses")
_MOST_CONTEXT: Final = 255
_API_VERSION: Final = "2022-11-28"


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit of ``owner/name``; ``context`` names its status among others of the same commit."""

    repository: str
    sha: str
    context: str
    api_url: str
    token: str

    def __post_init__(self) -> None:
        """Raise :class:`ConfigurationError` for what GitHub would refuse."""
        if not re.fullmatch(r"(?!\.+/)[\w.-]+/(?!\.+$)[\w.-]+", self.repository, re.ASCII):
            raise ConfigurationError(f"{self.repository!r} is not a repository: write owner/name")
        if not re.fullmatch(r"[0-9a-fA-F]{40}|[0-9a-fA-F]{64}", self.sha):
            raise ConfigurationError(f"--commit {self.sha!r} is not a full commit of 40 digits")
        if not 0 < len(self.context) <= _MOST_CONTEXT:
            raise ConfigurationError(f"--context has more than {_MOST_CONTEXT} characters")
        try:
            parts = urlsplit(self.api_url)
        except ValueError:
            parts = urlsplit("")
        secure = parts.scheme == "https" or parts.hostname in safe_urls.LOOPBACK
        if not parts.hostname or "@" in parts.netloc or not secure:
            raise ConfigurationError("--api-url must be https://HOST: a token travels with it")
        if not self.token.isascii() or not self.token.isprintable():
            raise ConfigurationError("GITHUB_TOKEN holds a line break or another odd character")


def set_status(
    commit: Commit, state: State, description: str, *, link: str, timeout: float
) -> None:
    """Set the status of ``commit``; ``timeout`` is in seconds.

    Raises :class:`ToolError` for a failure that may pass and :class:`ConfigurationError` for the
    rest.
    """
    payload = {
        "state": state,
        "context": commit.context,
        "description": shorten(description, _MOST_DESCRIPTION),
    }
    if link.startswith(("https://", "http://")):
        payload["target_url"] = link
    post(
        f"{commit.api_url.rstrip('/')}/repos/{commit.repository}/statuses/{commit.sha}",
        payload,
        name=f"status of {commit.repository}",
        timeout=timeout,
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {commit.token}",
            "X-GitHub-Api-Version": _API_VERSION,
        },
    )
