"""Set and read the status of a commit on GitHub, through its REST API."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from stepkit.errors import ConfigurationError, ToolError
from stepkit.formats.shorten import shorten
from stepkit.http import connection, safe_urls, status_codes
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
        f"{_address(commit)}/statuses/{commit.sha}",
        payload,
        name=_name(commit),
        timeout=timeout,
        headers=_headers(commit),
    )


def read_status(commit: Commit, *, timeout: float) -> str:
    """Return the state of the latest status of ``commit`` in its context, ``""`` if it has none.

    Raises as :func:`set_status`.
    """
    answer = connection.request(
        "GET",
        f"{_address(commit)}/commits/{commit.sha}/status?per_page=100",
        _headers(commit),
        name=_name(commit),
        stall=timeout,
        until=time.monotonic() + timeout,
    )
    if answer.status >= status_codes.REDIRECTION:
        answer.close()
        raise status_codes.refusal(
            answer.status,
            f"{_name(commit)}: the server answered HTTP {answer.status}",
            if_denied="check the token and its rights",
            if_missing="check the address",
        )
    try:
        found = json.loads(b"".join(answer.chunks()))["statuses"]
        states = {status["context"]: str(status["state"]) for status in found}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ToolError(f"{_name(commit)}: the answer is not a list of statuses") from error
    return states.get(commit.context, "")


def _address(commit: Commit) -> str:
    return f"{commit.api_url.rstrip('/')}/repos/{commit.repository}"


def _name(commit: Commit) -> str:
    return f"status of {commit.repository}"


def _headers(commit: Commit) -> dict[str, str]:
    return {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {commit.token}",
        "X-GitHub-Api-Version": _API_VERSION,
    }
