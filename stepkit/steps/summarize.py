r"""Write report.html, STEP_SUMMARY.md and run.json: how a run went, from its steps' reports alone.

Reads every NAME.json in the reports directory and writes one web page and a Markdown summary: the
verdict, why, the steps, the cells, the tests, the artifacts. run.json beside them holds all of that
for machines, metadata.json what ran on what. Nothing is estimated: an expected step without a
report is shown as "not run". On GitHub the summary also goes to that of the job. The last line says
how the run went. The step itself succeeds whatever the verdict is: its exit code is 0. With
--enforce it fails as the step that decided the verdict did; use it at the end of a pipeline that
goes on after a task has failed.
With --baseline the run is compared with an earlier one; --fail-on says which differences fail it.
--metrics-push sends its figures to a Prometheus Pushgateway, which never changes the verdict.

For example:

    stepkit summarize --reports out/reports --summary out/STEP_SUMMARY.md \
        --expect git-clone execute-notebook convert-notebook run-tests
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from stepkit import steps
from stepkit.errors import ConfigurationError, Reason, StepError, ToolError, UserCodeError
from stepkit.formats import prometheus_text
from stepkit.notify.pushgateway import PushOptions
from stepkit.options import DefaultFromEnv, Metavar
from stepkit.report import metadata_json, metrics_of_run, shorten_record, steps_of_run, web_links
from stepkit.report.comparison_options import ComparisonOptions
from stepkit.report.options import RunOptions
from stepkit.report.page import report_page
from stepkit.report.page.print_pdf import print_pdf
from stepkit.report.record_run import record_run
from stepkit.report.run_identity import IdentityOptions
from stepkit.report.run_paths import RunPaths, directory_of_run
from stepkit.report.summary import file_links, step_summary
from stepkit.step import InReport
from stepkit.system import atomic_files
from stepkit.workspace import run_marker

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepkit.report.run_json import RunJson

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions, IdentityOptions, ComparisonOptions, PushOptions):
    """Where the reports are, and where the summary goes."""

    summary: Annotated[Path, "Markdown file to write"]
    run: Annotated[
        Path | None, "JSON file for the record of the run; by default run.json beside the summary"
    ] = None
    html: Annotated[
        Path | None, "HTML page of the run; by default report.html beside the summary"
    ] = None
    copy_as: Annotated[
        str, "second name of the summary, beside it, such as PIPELINE.md", Metavar("NAME")
    ] = ""
    pdf: Annotated[Path | None, "PDF of that page, printed by the Chromium that is installed"] = (
        None
    )
    enforce: Annotated[bool, "exit like the step that decided the verdict"] = False
    github_summary: Annotated[
        Path | None,
        "file to append the page to; by default $GITHUB_STEP_SUMMARY",
        DefaultFromEnv("GITHUB_STEP_SUMMARY"),
    ] = None
    url_base: Annotated[
        str, "web address of the directory with run.json, for links in GitHub's summary"
    ] = ""


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The page, and the verdict on the whole run."""

    in_report: ClassVar[InReport] = InReport(ends_run=True)
    message_is_verdict: ClassVar[bool] = True

    summary: Annotated[Path | None, "absolute path of the Markdown page"]
    verdict: Annotated[
        str, "passed, passed with tolerated errors, flaky, failed, cancelled or incomplete"
    ]
    run: Annotated[Path | None, "absolute path of run.json, the record of the run"] = None
    html: Annotated[Path | None, "absolute path of report.html, the page of the run"] = None
    pdf: Annotated[Path | None, "absolute path of the page as PDF"] = None
    tolerated: Annotated[int, "tolerated errors and allowed test failures of the whole run"] = 0
    message: Annotated[str, "the verdict and its cause, in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Read the reports, write record and page, the page last, and return the verdict."""
    options.check()
    summary = options.summary.absolute()
    path = (options.run or _beside(summary, "run", ".json")).absolute()
    found = options.load(steps.in_report)
    record = _record(options, found, path.parent)
    regression = options.add_comparison(record)
    files = _write_files(options, record, path)
    # the last one: other tasks wait for it
    no_summary = _write_summary(options, record, path.parent, files.html)
    if options.metrics_push:
        _push_metrics(options, record)
    outputs = Outputs(
        summary=summary if summary.is_file() else None,
        run=files.run,
        html=files.html,
        pdf=files.pdf,
        verdict=found.verdict,
        tolerated=found.tolerated,
        message=_sentence(found),
    )
    if not any(entry.data or entry.reason == Reason.BAD_INPUT for entry in found.entries):
        raise ConfigurationError(
            f"there are no reports in {options.reports.absolute()}: nothing ran, "
            "or --reports names another directory",
            reason=Reason.NOT_FOUND,
            outputs=outputs,
        )
    if options.enforce and found.verdict not in steps_of_run.GOOD:
        raise _error(found, outputs)
    if why := files.failed or no_summary or regression:
        raise why.leaving(outputs)
    return outputs


def _beside(summary: Path, stem: str, extension: str) -> Path:
    """Return a path beside the summary: STEP_SUMMARY_lite.md has run_lite.json beside it."""
    name, begin = summary.stem, "STEP_SUMMARY"
    suffix = name.removeprefix(begin) if name.startswith(begin) else ""
    return summary.with_name(f"{stem}{suffix}{extension}")


@dataclass(frozen=True, kw_only=True)
class _Files:
    """What was written, None for what was not; ``failed`` says why, of the first of them."""

    run: Path | None
    html: Path | None
    pdf: Path | None
    failed: StepError | None


def _write_files(options: Options, record: RunJson, path: Path) -> _Files:
    """Write the record to ``path``, then the page: each is worth having without the others."""
    summary = options.summary.absolute()
    html = (options.html or _beside(summary, "report", ".html")).absolute()
    pdf = options.pdf.absolute() if options.pdf else None
    text = shorten_record.as_text(record)
    no_record = _try_to_write(path, lambda: atomic_files.write_atomically(path, text))
    no_metadata = _write_metadata(record, _beside(summary, "metadata", ".json"))
    no_html = _try_to_write(html, lambda: report_page.write(record, html, path.parent))
    no_pdf = no_html
    if pdf and not no_html:
        no_pdf = _try_to_write(pdf, lambda: print_pdf(html, pdf))
    return _Files(
        run=None if no_record else path,
        html=None if no_html else html,
        pdf=None if no_pdf else pdf,
        failed=no_record or no_html or no_pdf or no_metadata,
    )


def _write_metadata(record: RunJson, path: Path) -> StepError | None:
    if metadata_json.may_be_replaced(path):
        text = metadata_json.as_text(record)
        return _try_to_write(path, lambda: atomic_files.write_atomically(path, text))
    logger.warning("%s is another program's: it stays, and the run has no metadata", path)
    return None


def _write_summary(
    options: Options, record: RunJson, directory: Path, html: Path | None
) -> StepError | None:
    """Write the summary, also to GitHub, as far as that is possible; return why if it is not.

    ``directory`` is that of the record.
    """
    summary = options.summary.absolute()
    files_at = web_links.relative_address(directory, summary.parent)
    report = os.path.relpath(html, directory) if html else ""
    page = step_summary.render(record, files_at=files_at, report=report)
    failed: StepError | None = None
    copy = options.copy_as
    if copy and (Path(copy).name != copy or Path(copy).suffix != ".md"):
        failed = ConfigurationError(
            f"--copy-as {copy!r} is not the name of a Markdown file, such as STEP_SUMMARY_LITE.md: "
            "the summary has no copy"
        )
        logger.error("%s", failed)
        copy = ""
    for name in filter(None, (copy, summary.name)):
        path = summary.with_name(name)
        write = partial(atomic_files.write_atomically, path, page)
        failed = _try_to_write(path, write) or failed
    if github := options.github_summary:
        # There is no file beside a job's summary: only what is published can be opened.
        published = options.url_base or file_links.published_directory(record)
        shown = step_summary.render(record, files_at=published or None, report=report)
        unsaid = _try_to_write(None, lambda: _append(github, shown))
        failed = failed or unsaid
    return failed


def _push_metrics(options: Options, record: RunJson) -> None:
    text = "".join(prometheus_text.lines(metrics_of_run.gauges(record)))
    try:
        options.push(text, title=record["title"], taken=metrics_of_run.LABELS)
    except StepError as error:
        logger.warning("the metrics of the run were not pushed: %s", error)


def _append(path: Path, page: str) -> None:
    with atomic_files.explaining(f"cannot append to {path}"):
        atomic_files.append(path, page)


def _try_to_write(path: Path | None, write: Callable[[], None]) -> StepError | None:
    """Write a file; if it fails, remove ``path``, that of an earlier run, and return why."""
    try:
        write()
    except StepError as error:
        logger.error("%s", error)  # noqa: TRY400 - not a bug of stepkit
        if path:
            with suppress(OSError):
                path.unlink()
        return error
    return None


def _record(options: Options, found: steps_of_run.Run, beside: Path) -> RunJson:
    """Return the record of the run, with paths relative to the directory ``beside``."""
    reports = options.reports.absolute()
    marked = ((path, run_marker.read(path)) for path in (reports, *reports.parents))
    directory, marker = next(
        ((path, marker) for path, marker in marked if marker),
        (directory_of_run(reports, beside), None),
    )
    name, created = (marker.run, marker.created) if marker else (None, None)
    identity = options.identity(name, created)
    paths = RunPaths.of(found, record=beside, directory=directory, reports=reports)
    return record_run(found, paths, identity=identity, command_line=steps.command_line)


def _sentence(found: steps_of_run.Run) -> str:
    begin = {
        "failed": "the run failed",
        "cancelled": "the run was cancelled",
        "incomplete": "the run is incomplete",
        "flaky": f"the run is {found.headline}",
    }.get(found.verdict, f"the run {found.headline}")
    if found.cause:
        return f"{begin}: {found.cause.name}: {found.cause.message}"
    return f"{begin}: not run: {', '.join(found.not_run)}" if found.not_run else begin


def _error(found: steps_of_run.Run, outputs: Outputs) -> StepError:
    """Return an error with the exit code and the reason of the step that decided the verdict."""
    cause = found.cause
    if cause is None:
        message = f"not run: {', '.join(found.not_run)}"
        return UserCodeError(message, reason=Reason.TASK_FAILED, outputs=outputs)
    kinds: dict[int | None, type[StepError]] = {2: ConfigurationError, 3: UserCodeError}
    reason = Reason(cause.reason) if cause.reason in set(Reason) else Reason.TASK_FAILED
    message = f"{cause.name}: {cause.message}"
    return kinds.get(cause.exit_code, ToolError)(message, reason=reason, outputs=outputs)
