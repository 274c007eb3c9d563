"""Mark the commits of runs that ended without a report: docs/triggers.md.

A run that was cancelled without `finally`, or whose `timeouts.pipeline` ran out, leaves the commit
status that `mark-pending` set, and GitHub keeps it for ever. This program reads the PipelineRuns
of its namespace that ended lately, and sets the status of their commits to *error* where it is
still *pending* and no other run of the commit goes on. It needs Python alone. Exit code 0: all is
well; 1: a server did not do what was asked, and the lines say which.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import ssl
import sys
import urllib.request
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DESCRIPTION: Final = "the run ended without a report"
GITHUB: Final = "https://api.github.com"  # the default of the Pipelines, too
SECONDS: Final = 30  # for each answer
_FAULTS: Final = (OSError, HTTPException, KeyError, ValueError)  # of a server, or its answer
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REPOSITORY: Final = re.compile(r"(?!\.+/)[\w.-]+/(?!\.+$)[\w.-]+", re.ASCII)


def main() -> int:
    """Mark the commits; return the exit code."""
    options = _options()
    token = os.environ.get("GITHUB_TOKEN", "").strip()
    if not token:
        print("GITHUB_TOKEN is not set: no commit can be marked")
        return 1
    since = datetime.now(UTC) - timedelta(minutes=options.minutes)
    failed = False
    try:
        for repository, commit in ended_commits(pipeline_runs(options), options.api_url, since):
            try:
                if mark(options, token, repository, commit):
                    print(f"{repository} {commit}: error: {DESCRIPTION}")
            except _FAULTS as error:
                failed = True
                print(f"{repository} {commit}: not marked: {error}")
    except _FAULTS as error:
        failed = True
        print(f"cannot read the PipelineRuns: {error}")
    return int(failed)


def pipeline_runs(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return all PipelineRuns of the namespace, as the account of the pod may read them."""
    namespace = (options.account / "namespace").read_text().strip()
    url = f"{options.cluster}/apis/tekton.dev/v1/namespaces/{quote(namespace)}/pipelineruns"
    token = (options.account / "token").read_text().strip()
    found, more = [], ""
    while True:
        page = ask(
            f"{url}?limit=500&continue={quote(more)}", token, authority=options.account / "ca.crt"
        )
        found += page["items"]
        more = page["metadata"].get("continue", "")
        if not more:
            return found


def ended_commits(
    runs: list[dict[str, Any]], api_url: str, since: datetime
) -> Iterator[tuple[str, str]]:
    """Yield repository and commit of each run that ended after ``since``, if no other goes on."""
    marked = [(target, run) for run in runs if (target := commit_of(run, api_url))]
    going_on = {target for target, run in marked if not ended(run)}
    late = {target for target, run in marked if (end := ended(run)) and end >= since}
    yield from sorted(late - going_on)


def commit_of(run: Mapping[str, Any], api_url: str) -> tuple[str, str] | None:
    """Return repository and commit whose status a run sets at ``api_url``; None if it does not."""
    params = {param["name"]: param["value"] for param in run["spec"].get("params", [])}
    repository, commit = params.get("commit-status-repository"), params.get("notebooks-revision")
    if params.get("notify") != "true" or params.get("github-api-url", GITHUB) != api_url:
        return None
    if not _REPOSITORY.fullmatch(str(repository)) or not _COMMIT.fullmatch(str(commit)):
        return None
    return str(repository), str(commit)


def ended(run: Mapping[str, Any]) -> datetime | None:
    """Return when a run ended, None while it goes on."""
    time = run.get("status", {}).get("completionTime")
    return datetime.fromisoformat(time) if time else None


def mark(options: argparse.Namespace, token: str, repository: str, commit: str) -> bool:
    """Set the status of a commit to error if it is pending; return whether it was."""
    base = f"{options.api_url}/repos/{repository}"
    latest = ask(f"{base}/commits/{commit}/status?per_page=100", token)["statuses"]
    states = {status["context"]: status["state"] for status in latest}
    if states.get(options.context) != "pending":
        return False
    status = {"state": "error", "context": options.context, "description": DESCRIPTION}
    ask(f"{base}/statuses/{commit}", token, status)
    return True


def ask(url: str, token: str, body: object = None, *, authority: Path | None = None) -> Any:
    """Return what a server answers in JSON; with ``body``, post it."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers)  # noqa: S310 - see _address
    tls = ssl.create_default_context(
        cafile=str(authority) if authority and url.startswith("https:") else None
    )
    opener = urllib.request.build_opener(_NoRedirects, urllib.request.HTTPSHandler(context=tls))
    with opener.open(request, timeout=SECONDS) as answer:
        return json.load(answer)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the token would go along."""

    def redirect_request(self, *_: Any) -> None:
        """Make the redirect an error."""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=int, default=60, help="how long ago a run may have ended")
    parser.add_argument("--context", default="stepkit/notebook-ci", help="name of the status")
    parser.add_argument("--api-url", type=_address, default=GITHUB)
    parser.add_argument("--cluster", type=_address, default="https://kubernetes.default.svc")
    parser.add_argument(
        "--account", type=Path, default=Path("/var/run/secrets/kubernetes.io/serviceaccount")
    )
    return parser.parse_args()


def _address(text: str) -> str:
    """Take an address to which a token may be sent: https, or this machine."""
    parts = urlsplit(text)
    if parts.scheme != "https" and parts.hostname not in {"127.0.0.1", "localhost"}:
        raise argparse.ArgumentTypeError(f"{text} must be https://HOST: a token travels with it")
    return text.rstrip("/")


if __name__ == "__main__":
    sys.exit(main())
