r"""Tell people how a run ended: by chat, by e-mail, and beside the commit on GitHub.

The verdict is that of `summarize`, from the same reports and statuses. Whom to tell is a secret
and comes by the environment: NOTIFY_URLS holds one URL for apprise a line (Slack, Teams, e-mail
and a hundred others), NOTIFY_WEBHOOK a URL that takes JSON, GITHUB_TOKEN the right to mark a
commit. With none of them there is nobody to tell, which is a warning. A channel that fails keeps
no other from being told; the step fails at the end and names it.

For example:

    export NOTIFY_URLS=slack://TOKEN/TOKEN/TOKEN
    stepkit notify --reports out/reports --expect git-clone execute-notebook run-tests \
        --link https://pages.example.com/run-7/STEP_SUMMARY.md
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, Literal

from stepkit import steps
from stepkit.errors import ConfigurationError, StepError, ToolError
from stepkit.http.post import post
from stepkit.notify import apprise as notify_apprise
from stepkit.notify import github_status
from stepkit.options import DETAIL, DURATION, AtLeast, FromEnv
from stepkit.report import run_record, short_message
from stepkit.report.options import RunOptions
from stepkit.step import InReport
from stepkit.system.retry import retrying

logger = logging.getLogger(__name__)

_SCHEMA = "stepkit.notification/1"


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    """What to tell, and whom."""

    link: Annotated[str, "web address of the run's page"] = ""
    when: Annotated[
        Literal["always", "failure"], "when to tell people; a commit is always marked"
    ] = "always"
    commit_status_repository: Annotated[str, "owner/name on GitHub of the commit to mark"] = ""
    commit: Annotated[str, "full commit to mark"] = ""
    context: Annotated[str, "name of the mark beside the commit"] = "stepkit/notebook-ci"
    api_url: Annotated[str, "address of GitHub's REST API"] = "https://api.github.com"
    pending: Annotated[bool, "only mark the commit as pending: the run has begun"] = False
    attempts: Annotated[
        int, "how often to try each channel when it does not answer", AtLeast(1)
    ] = 3
    timeout: Annotated[float, "limit for each try", DURATION, AtLeast(1)] = 30.0
    urls: Annotated[str | None, "URLs for apprise, one a line", FromEnv("NOTIFY_URLS")] = None
    webhook: Annotated[str | None, "URL that takes JSON", FromEnv("NOTIFY_WEBHOOK")] = None
    token: Annotated[str | None, "token that may mark commits", FromEnv("GITHUB_TOKEN")] = None


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The verdict, and who was told."""

    in_report: ClassVar[InReport] = InReport(ends_run=True)

    verdict: Annotated[
        str, "passed, passed with tolerated errors, failed, cancelled, incomplete or pending"
    ]
    told: Annotated[int, "number of channels that were told"] = 0
    failed: Annotated[tuple[str, ...], "channels that were not, without their secrets", DETAIL] = ()
    message: Annotated[str, "the verdict and who was told, in one sentence"] = ""


@dataclass(frozen=True)
class _Channel:
    name: str
    tell: Callable[[], None]


def run(options: Options) -> Outputs:
    """Tell every channel, then say which could not be told."""
    if options.pending:
        return _told(options, "pending", list(_marks(options, "pending", "the run has begun")))
    found = options.load(steps.in_report)
    text = short_message.render(found, link=options.link)
    why = short_message.cause(found)
    channels = list(_marks(options, _state(found.verdict), f"{found.headline}: {why}".rstrip(": ")))
    good = found.verdict.startswith("passed")
    if options.when == "failure" and good:
        logger.info("%s: people are told of failures only", found.headline)
    else:
        channels += _people(options, found, text)
    return _told(options, found.verdict, channels)


def _told(options: Options, verdict: str, channels: list[_Channel]) -> Outputs:
    failures: dict[str, StepError] = {}
    for channel in channels:
        try:
            retrying(options.attempts)(channel.tell)
            logger.info("told %s", channel.name)
        except StepError as error:
            logger.warning("not told: %s", error)
            failures[channel.name] = error
    told = len(channels) - len(failures)
    outputs = Outputs(
        verdict=verdict,
        told=told,
        failed=tuple(failures),
        message=f"{verdict}: {told} of {len(channels)} channels told"
        if channels
        else f"{verdict}: nobody to tell",
    )
    if failures:
        raise _failure(list(failures.values()), outputs)
    if not _configured(options):
        logger.warning(
            "nobody to tell: set NOTIFY_URLS or NOTIFY_WEBHOOK, or GITHUB_TOKEN and "
            "--commit-status-repository"
        )
    return outputs


def _configured(options: Options) -> bool:
    return bool(
        options.urls or options.webhook or (options.commit_status_repository and options.token)
    )


def _failure(errors: list[StepError], outputs: Outputs) -> StepError:
    """Fail as the channels did; a second try may help if it may help one of them."""
    text = f"{outputs.message}; not told: {'; '.join(map(str, errors))}"
    passing = [error for error in errors if isinstance(error, ToolError)]
    if passing:
        return ToolError(text, reason=passing[0].reason, outputs=outputs)
    return ConfigurationError(text, reason=errors[0].reason, outputs=outputs)


def _people(
    options: Options, found: run_record.Run, text: short_message.Message
) -> Iterator[_Channel]:
    good = found.verdict.startswith("passed")
    for number, line in enumerate((options.urls or "").splitlines(), start=1):
        if url := line.strip():
            name = f"line {number} of NOTIFY_URLS"
            tell = partial(
                notify_apprise.send, url, name=name, title=text.title, body=text.body or text.title,
                good=good, timeout=options.timeout,
            )  # fmt: skip
            yield _Channel(name, tell)
    if options.webhook:
        payload = {
            "schema": _SCHEMA,
            "text": f"{text.title}\n{text.body}".strip(),
            "title": options.title,
            "verdict": found.verdict,
            "cause": short_message.cause(found),
            "link": options.link,
            "steps": {entry.name: entry.status for entry in found.entries},
        }
        tell = partial(
            post, options.webhook.strip(), payload,
            name="NOTIFY_WEBHOOK", timeout=options.timeout,
        )  # fmt: skip
        yield _Channel("NOTIFY_WEBHOOK", tell)


def _marks(options: Options, state: github_status.State, text: str) -> Iterator[_Channel]:
    repository = options.commit_status_repository
    if not repository:
        return
    if not options.token:
        logger.warning("the commit of %s is not marked: GITHUB_TOKEN is not set", repository)
        return
    yield _Channel(
        f"status of {repository}", partial(_mark, options, state, text, options.token.strip())
    )


def _mark(options: Options, state: github_status.State, text: str, token: str) -> None:
    commit = github_status.Commit(
        repository=options.commit_status_repository,
        sha=options.commit,
        context=options.context,
        api_url=options.api_url,
        token=token,
    )
    github_status.mark(commit, state, text, link=options.link, timeout=options.timeout)


def _state(verdict: run_record.Verdict) -> github_status.State:
    """Say as GitHub does: it failed, or nobody knows whether it would have."""
    if verdict.startswith("passed"):
        return "success"
    return "failure" if verdict == "failed" else "error"
