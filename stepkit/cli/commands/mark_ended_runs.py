"""Set the commit status of runs that ended without a report from pending to error.

A run of a cluster that was cancelled without its finally tasks, or whose timeouts.pipeline ran out,
leaves the status pending, and GitHub keeps that for ever. This reads the PipelineRuns of the
namespace of the pod in which it runs, and marks the commits of those that ended lately, unless
another run of the same commit goes on. GITHUB_TOKEN is a token that may set commit statuses.

For example:

    stepkit mark-ended-runs --ended-within 1h
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.options import DURATION, FromEnv
from stepkit.tekton.cluster_options import ClusterOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.notify.github_status import Commit
    from stepkit.tekton.cluster_runs import ClusterRun

logger = logging.getLogger(__name__)

DESCRIPTION: Final = "the run ended without a report"
_GITHUB: Final = "https://api.github.com"  # the default of the Pipelines, too
_DIGITS: Final = 40  # of a commit
_SECONDS: Final = 30.0  # for each answer of GitHub


@dataclass(frozen=True, kw_only=True)
class Options(ClusterOptions):
    """Which runs count, and where their commits are."""

    ended_within: Annotated[float, "how long ago a run may have ended", DURATION] = 3600.0
    context: Annotated[str, "name of the commit status"] = "stepkit/notebook-ci"
    api_url: Annotated[str, "address of GitHub's REST API, as the runs name it"] = _GITHUB
    token: Annotated[str | None, "token that may set commit statuses", FromEnv("GITHUB_TOKEN")] = (
        None
    )


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What was marked."""

    marked: Annotated[int, "number of commits that were marked"]
    message: Annotated[str, "how many commits were marked, in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Mark the commits; one that cannot be marked does not stop the others.

    Raises :class:`~stepkit.errors.StepError` at the end if one could not be marked.
    """
    from stepkit.notify import github_status

    if not options.token:
        raise ConfigurationError(
            "GITHUB_TOKEN is not set: no commit can be marked", reason=Reason.AUTH
        )
    one = github_status.Commit(  # what all commits have in common
        repository="owner/name",
        sha="0" * _DIGITS,
        context=options.context,
        api_url=options.api_url,
        token=options.token.strip(),
    )
    runs = options.runs(options.access())
    marked = 0
    failed: list[StepError] = []
    for commit in _ended(runs, options.ended_within, one):
        try:
            if github_status.read_status(commit, timeout=_SECONDS) == "pending":
                github_status.set_status(commit, "error", DESCRIPTION, link="", timeout=_SECONDS)
                marked += 1
                logger.info("%s %s: error: %s", commit.repository, commit.sha, DESCRIPTION)
        except (ToolError, ConfigurationError) as error:
            failed.append(error)
            logger.error("%s: %s", commit.sha, error)  # noqa: TRY400 - not a bug of stepkit
    outputs = Outputs(marked=marked, message=f"marked {marked} commit{'s' * (marked != 1)}")
    if failed:
        suffix = f"; {len(failed)} not marked, {outputs.message}"
        raise failed[0].leaving(outputs, suffix=suffix)
    return outputs


def _ended(runs: Sequence[ClusterRun], within: float, like: Commit) -> list[Commit]:
    """Return each commit of a run that ended lately, if no other run of it goes on."""
    since = datetime.now(UTC) - timedelta(seconds=within)
    commits = [(commit, one) for one in runs if (commit := _commit_of(one, like))]
    going_on = {commit for commit, one in commits if not one.ended}
    late = {commit for commit, one in commits if one.ended and one.ended >= since}
    return sorted(late - going_on, key=lambda commit: (commit.repository, commit.sha))


def _commit_of(one: ClusterRun, like: Commit) -> Commit | None:
    """Return the commit whose status a run sets at the server of ``like``; None if it sets none."""
    params = one.params
    if params.get("notify") != "true" or params.get("github-api-url", _GITHUB) != like.api_url:
        return None
    repository, sha = (
        str(params.get(name)) for name in ("commit-status-repository", "notebooks-revision")
    )
    try:
        return replace(like, repository=repository, sha=sha)
    except ConfigurationError:  # a branch, or not a repository
        return None
