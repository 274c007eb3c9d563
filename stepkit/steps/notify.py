r"""Report how a run ended: by chat, by e-mail, and as a commit status on GitHub.

The verdict is that of `summarize`, from the same reports and statuses. The channels are secrets and
come by the environment: NOTIFY_URLS holds URLs for apprise, one a line (Slack, Teams, e-mail and a
hundred others), NOTIFY_WEBHOOK those that take JSON, GITHUB_TOKEN a token that may set commit
statuses. Without any of them the step warns and succeeds. A line that begins with passed=, flaky=
or failed= is for runs that end so. After a failed channel the others are still notified; the step
fails at the end and names those that failed.

For example:

    export NOTIFY_URLS=failed=slack://TOKEN/TOKEN/TOKEN
    stepkit notify --reports out/reports --expect git-clone execute-notebook run-tests \
        --link https://pages.example.com/run-7/STEP_SUMMARY.md
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from stepkit import redaction, steps
from stepkit.artifacts import files_to_publish
from stepkit.errors import ConfigurationError, StepError, ToolError
from stepkit.formats import sizes
from stepkit.http.post import post
from stepkit.notify import apprise, github_status, routes
from stepkit.options import DETAIL, DURATION, AtLeast, FromEnv, Metavar
from stepkit.report import short_message, steps_of_run
from stepkit.report.options import RunOptions
from stepkit.report.page import email_body
from stepkit.report.published_link import await_link
from stepkit.report.record_run import record_run
from stepkit.report.run_identity import IdentityOptions
from stepkit.report.run_paths import RunPaths
from stepkit.step import InReport
from stepkit.system.retry import retrying

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.report.run_json import RunJson

logger = logging.getLogger(__name__)

_SCHEMA: Final = "stepkit.notification/1"
# Many servers take 10 MB, and the encoding of an e-mail makes 4 bytes of 3.
_MOST_ATTACHED: Final = 7_000_000


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    """What to report, and through which channels."""

    link: Annotated[str, "web address of the run's page"] = ""
    published_by: Annotated[
        Path | None,
        "report of publish-artifacts, whose web address is sent instead of --link",
        Metavar("REPORT"),
    ] = None
    published_to: Annotated[
        str,
        "where it publishes to; it is waited for unless this is empty: then it does not run",
        Metavar("DESTINATION"),
    ] = ""
    published_timeout: Annotated[float, "how long to wait for it", DURATION] = 300.0
    when: Annotated[
        Literal["always", "failure"],
        "when to send messages to addresses without a prefix such as failed=; failure is also a "
        "flaky run; a commit status is always set",
    ] = "always"
    attach: Annotated[bool, "attach --report-page to e-mails"] = False
    report_page: Annotated[Path | None, "report.html of the run, which another task may write"] = (
        None
    )
    report_page_timeout: Annotated[float, "how long to wait for it", DURATION] = 300.0
    commit_status_repository: Annotated[str, "owner/name on GitHub of the commit"] = ""
    commit: Annotated[str, "full SHA of the commit whose status is set"] = ""
    context: Annotated[str, "name of the commit status"] = "stepkit/notebook-ci"
    api_url: Annotated[str, "address of GitHub's REST API"] = "https://api.github.com"
    pending: Annotated[bool, "only set the commit status to pending: the run has begun"] = False
    attempts: Annotated[
        int, "how often to try each channel when it does not answer", AtLeast(1)
    ] = 3
    timeout: Annotated[float, "limit for each try", DURATION, AtLeast(1)] = 30.0
    urls: Annotated[str | None, "URLs for apprise, one a line", FromEnv("NOTIFY_URLS")] = None
    webhook: Annotated[str | None, "URLs that take JSON, one a line", FromEnv("NOTIFY_WEBHOOK")] = (
        None
    )
    token: Annotated[str | None, "token that may set commit statuses", FromEnv("GITHUB_TOKEN")] = (
        None
    )


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The verdict, and which channels were notified."""

    in_report: ClassVar[InReport] = InReport(ends_run=True)

    verdict: Annotated[
        str, "passed, passed with tolerated errors, flaky, failed, cancelled, incomplete or pending"
    ]
    # The name of a released result.
    told: Annotated[int, "number of channels that were notified"] = 0
    failed: Annotated[tuple[str, ...], "channels that were not, without their secrets", DETAIL] = ()
    message: Annotated[str, "the verdict and how many channels were notified, in one sentence"] = ""


@dataclass(frozen=True)
class _Channel:
    name: str
    send: Callable[[], None]


def run(options: Options) -> Outputs:
    """Notify every channel, then name those that failed."""
    if options.attach and not options.report_page:
        raise ConfigurationError("--attach needs --report-page, the file to attach")
    if options.pending:
        channels = _commit_status(options, "pending", "the run has begun")
        return _notify(options, "pending", channels)
    routes_of_all = _routes(options)
    options = replace(options, link=_link(options))
    found = options.load(steps.in_report)
    record = _record(options, found)
    outcome = _outcome(found)
    # GitHub's "error": whether the notebooks would have passed is unknown.
    ended: github_status.State = "failure" if found.verdict == "failed" else "error"
    description = f"{found.headline}: {short_message.cause(record)}".rstrip(": ")
    channels = _commit_status(options, ended if outcome == "failed" else "success", description)
    usual = frozenset({"failed"}) if options.when == "failure" else routes.OUTCOMES
    selected = routes.select(routes_of_all, outcome, usual=usual)
    if routes_of_all and not selected:
        logger.info("%s: no address is for such a run, so no message is sent", found.headline)
    channels += _messages(options, found, record, selected)
    return _notify(options, found.verdict, channels)


def _routes(options: Options) -> list[routes.Route]:
    """Return all addresses; each is a secret without its prefix, too."""
    urls = routes.parse(options.urls, "NOTIFY_URLS")
    webhooks = routes.parse(options.webhook, "NOTIFY_WEBHOOK")
    redaction.register(*(route.address for route in (*urls, *webhooks)))
    return [*urls, *webhooks]


def _outcome(found: steps_of_run.Run) -> routes.Outcome:
    if found.verdict == "flaky":
        return "flaky"
    return "passed" if found.verdict in steps_of_run.GOOD else "failed"


def _link(options: Options) -> str:
    """Return the published address if there is one, else --link."""
    report = options.published_by
    is_sent = options.urls or options.webhook or options.token
    if not report or not is_sent or not (options.published_to or report.exists()):
        return options.link
    timeout = options.published_timeout if options.published_to else 0.0
    return await_link(report, steps.in_report, timeout=timeout) or options.link


def _record(options: Options, found: steps_of_run.Run) -> RunJson:
    """Return the record of the run, as summarize makes it."""
    reports = options.reports.absolute()
    paths = RunPaths.of(found, record=reports.parent, directory=reports.parent, reports=reports)
    identity = IdentityOptions().identity(None, None)
    return record_run(found, paths, identity=identity, command_line=steps.command_line)


def _notify(options: Options, verdict: str, channels: list[_Channel]) -> Outputs:
    """Try each channel; raise the error of the step if one failed."""
    failures: dict[str, StepError] = {}
    for channel in channels:
        try:
            retrying(options.attempts)(channel.send)
            logger.info("notified %s", channel.name)
        except StepError as error:
            logger.warning("not notified: %s", error)
            failures[channel.name] = error
    notified = len(channels) - len(failures)
    done = f"{notified} of {len(channels)} channels notified"
    message = f"{verdict}: {done if channels else 'no channel to notify'}"
    outputs = Outputs(verdict=verdict, told=notified, failed=tuple(failures), message=message)
    if failures:
        text = f"{message}; not notified: {'; '.join(map(str, failures.values()))}"
        # Another attempt of the step may help if it may help one of the channels.
        errors = list(failures.values())
        if temporary := next((e for e in errors if isinstance(e, ToolError)), None):
            raise ToolError(text, reason=temporary.reason, outputs=outputs)
        raise ConfigurationError(text, reason=errors[0].reason, outputs=outputs)
    status_is_set = options.commit_status_repository and options.token
    if not (options.urls or options.webhook or status_is_set):
        logger.warning(
            "no channel to notify: set NOTIFY_URLS or NOTIFY_WEBHOOK, or GITHUB_TOKEN and "
            "--commit-status-repository"
        )
    return outputs


def _messages(
    options: Options,
    found: steps_of_run.Run,
    record: RunJson,
    selected: Sequence[routes.Route],
) -> list[_Channel]:
    """Return a channel for each of the routes."""
    text = short_message.render(record, link=options.link)
    attached, note = None, ""
    if any(apprise.is_email(route.address) for route in selected):
        attached, note = _attachment(options, found)
    message = apprise.Message(
        title=text.title,
        body=text.body or text.title,
        html=email_body.render(record, link=options.link, note=note),
        outcome=_outcome(found),
        attached=attached,
    )
    payload = {
        "schema": _SCHEMA,
        "text": f"{text.title}\n{text.body}".strip(),
        "title": options.title,
        "verdict": record["verdict"],
        "cause": short_message.cause(record),
        "link": options.link,
        "steps": {entry.name: entry.status for entry in found.entries},
        **short_message.fields(record),
    }

    def send(route: routes.Route) -> None:
        if route.wrong:
            raise ConfigurationError(route.wrong)
        name, timeout = route.name, options.timeout
        if route.variable == "NOTIFY_WEBHOOK":
            post(route.address, payload, name=name, timeout=timeout)
        else:
            apprise.send(route.address, message, name=name, timeout=timeout)

    return [_Channel(route.name, partial(send, route)) for route in selected]


def _attachment(options: Options, found: steps_of_run.Run) -> tuple[Path | None, str]:
    """Return the page to attach, once it is there, and what the e-mail says of it."""
    page = options.report_page
    if not options.attach or not page:
        return None, ""
    reports = (options.reports / f"{entry.name}.json" for entry in found.entries if entry.data)
    newest = max(reports, key=lambda path: path.stat().st_mtime_ns, default=None)
    timeout = options.report_page_timeout
    if files_to_publish.await_files([page], newer_than=newest, timeout=timeout):
        return None, f"{page.name} is not attached: it was not written in time."
    size = page.stat().st_size
    if size > _MOST_ATTACHED:
        most = sizes.spell(_MOST_ATTACHED, decimal=True)
        note = f"{page.name} is not attached: it has {sizes.spell(size, decimal=True)}, and {most}"
        logger.warning("%s is the limit", note)
        return None, f"{note} is the limit."
    return page, f"{page.name} is attached."


def _commit_status(
    options: Options, state: github_status.State, description: str
) -> list[_Channel]:
    """Return a channel that sets the commit status, none where it is not asked for."""
    repository, token = options.commit_status_repository, options.token
    if repository and not token:
        logger.warning("the commit status of %s is not set: GITHUB_TOKEN is not set", repository)
    if not repository or not token:
        return []

    def send() -> None:
        commit = github_status.Commit(
            repository=repository,
            sha=options.commit,
            context=options.context,
            api_url=options.api_url,
            token=token.strip(),
        )
        github_status.set_status(
            commit, state, description, link=options.link, timeout=options.timeout
        )

    return [_Channel(f"status of {repository}", send)]
