r"""Run a test repository's pytest suite against the files that earlier steps made.

The input files are copied into the checkout's input directory, which is emptied first. The
tests' packages are installed into a separate environment, and pytest runs with its Python.
Whether the tests passed is read from pytest's exit code, its JUnit report and what a plugin of
stepkit counted; a report that is missing, broken or contradicts the run fails the step. The log,
the JUnit and coverage reports and the HTML page are left in the artifacts directory, however the
tests end.

For example:

    stepkit run-tests --checkout work/tests --inputs out/output_analysis.html \
        --marker single_cell --artifacts artifacts
"""

from __future__ import annotations

import logging
import os
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from stepkit.errors import Cancelled, ConfigurationError, Reason, StepError
from stepkit.git import staged_files
from stepkit.options import DETAIL, DURATION, READS
from stepkit.step import Checks, InReport, Resumable
from stepkit.system import atomic_files, cgroup, locks
from stepkit.test_suite import (
    coverage,
    environment,
    failure_evidence,
    installers,
    junit,
    pytest,
    stage_inputs,
    verdict,
)
from stepkit.test_suite.installers import Packages
from stepkit.test_suite.outcome_totals import (
    Allowance,
    Counts,
    Failure,
    Skip,
    Timing,
    count_outcomes,
)
from stepkit.test_suite.pytest import Reports

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.test_suite.environment import Environment
    from stepkit.test_suite.installers import Choice
    from stepkit.test_suite.junit import Case

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which tests to run, on which files, and in which environment."""

    checkout: Annotated[Path, "directory of the test repository"]
    inputs: Annotated[tuple[Path, ...], "files to stage for the tests", READS] = ()
    input_directory: Annotated[
        str, "where in the checkout they go; emptied first if there are inputs"
    ] = "input"
    input_names: Annotated[
        tuple[str, ...],
        "name of the staged files, one for all inputs or one for each; "
        "{name}, {stem} and {suffix} are the input's own",
    ] = ("{name}",)
    marker: Annotated[str, "run the tests that carry this pytest marker; empty: all"] = ""
    artifacts: Annotated[
        Path, "directory for the log and the three reports; older ones there are removed first"
    ]
    suffix: Annotated[str, "goes before the extension of the reports' names, such as _lite"] = ""
    installer: Annotated[
        Literal["auto", "poetry", "uv", "pip", "none"],
        "what installs the tests' packages; auto: what the repository's files call for; "
        "none: the tests run by stepkit's own Python",
    ] = "auto"
    environment: Annotated[
        Path | None,
        "directory of the tests' environment, kept for the next run; "
        "default: .NAME.environment beside the checkout",
    ] = None
    environment_cache: Annotated[
        Path | None,
        "directory that keeps environments for all runs, by the lock that they were made from",
    ] = None
    extra_packages: Annotated[tuple[str, ...], "packages to install on top"] = ()
    with_coverage: Annotated[
        bool, "measure coverage, by pytest-cov; it is added if the repository does not name it"
    ] = True
    with_html: Annotated[bool, "write the HTML page, by pytest-html, added in the same way"] = True
    pytest_args: Annotated[
        tuple[str, ...], "further arguments for pytest, each as --pytest-args=-x"
    ] = ()
    allow_failures: Annotated[
        tuple[str, ...],
        "tests that may fail, as PATTERN or PATTERN=reason; PATTERN is a test's name as pytest "
        "shows it, with * and ? for anything",
    ] = ()
    only_prepare: Annotated[
        bool,
        "make the tests' environment and stop, such as while the notebook still runs; "
        "inputs are not needed yet",
    ] = False
    timeout: Annotated[float, "limit for the whole run of pytest", DURATION] = 3600.0
    install_timeout: Annotated[float, "limit for each command that installs", DURATION] = 900.0
    attempts: Annotated[int, "how often to try to install when the network fails"] = 3


def _environments(options: Options) -> list[Path]:
    """Return where the tests' environment may be: beside the checkout, and in the cache."""
    found = [_own_environment(options)]
    with suppress(StepError):  # the run itself says what is wrong
        packages = _packages(options, Path(os.path.realpath(options.checkout)))
        found += environment.in_cache(packages, options.environment_cache)
    return found


def _own_environment(options: Options) -> Path:
    checkout = Path(os.path.realpath(options.checkout))
    beside = checkout.with_name(f".{checkout.name}.environment")
    return Path(os.path.abspath(options.environment or beside))  # noqa: PTH100 - follows no link


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """How the tests ended; a failure after pytest ran carries these, too."""

    in_report: ClassVar[InReport] = InReport(
        section="tests", headline=True, except_with="only-prepare"
    )
    resumable: ClassVar[Resumable] = Resumable(
        directories=lambda options: [options.checkout],
        environments=_environments,
        except_with=("only-prepare",),
    )

    total: Annotated[int, "tests in the JUnit report"] = 0
    passed: Annotated[int, "tests that passed"] = 0
    failed: Annotated[int, "tests that failed and were not allowed to"] = 0
    errors: Annotated[int, "tests whose setup, teardown or collection failed"] = 0
    skipped: Annotated[int, "tests that were skipped, or failed as expected (xfail)"] = 0
    allowed: Annotated[int, "tests that failed and were allowed to"] = 0
    coverage: Annotated[float | None, "percent of lines covered, such as 87.5"] = None
    junit: Annotated[Path | None, "JUnit report"] = None
    coverage_report: Annotated[Path | None, "coverage report (Cobertura XML)"] = None
    html_report: Annotated[Path | None, "report as one HTML page"] = None
    log: Annotated[Path | None, "all that pytest printed"] = None
    installer: Annotated[str, "what installed the tests' packages"] = ""
    installer_reason: Annotated[str, "why that one"] = ""
    test_output: Annotated[Checks | None, "the totals as Konflux reads them, JSON"] = None
    failures: Annotated[tuple[Failure, ...], "each failed test, and why", DETAIL] = ()
    slowest: Annotated[tuple[Timing, ...], "the ten tests that took longest", DETAIL] = ()
    skips: Annotated[tuple[Skip, ...], "each skipped test, and why", DETAIL] = ()
    status: Annotated[str, "succeeded, or tolerated if only allowed failures were found"] = (
        "succeeded"
    )
    message: Annotated[str, "how the tests ended, in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Stage the inputs, install the tests' packages, run pytest and judge how it ended."""
    checkout = Path(os.path.realpath(options.checkout))
    if not checkout.is_dir():
        raise ConfigurationError(
            f"there is no checkout {options.checkout}{atomic_files.near_names(checkout)}",
            reason=Reason.NOT_FOUND,
        )
    if "/" in options.suffix:
        raise ConfigurationError(
            f"the suffix {options.suffix!r} contains a slash: it is a part of a file's name"
        )
    artifacts = Path(os.path.abspath(options.artifacts))  # noqa: PTH100 - follows no link
    own = _own_environment(options)
    reports = Reports.within(artifacts, options.suffix)
    planned = () if options.only_prepare else stage_inputs.plan(options.inputs, options.input_names)
    if planned:
        kept = (*options.inputs, artifacts, own)
        stage_inputs.check_directory(checkout, options.input_directory, kept)
    atomic_files.check_writable(artifacts)
    packages = _packages(options, checkout)
    logger.info("installer: %s (%s)", packages.choice.installer, packages.choice.reason)
    with ExitStack() as held:
        held.enter_context(locks.locked(checkout.with_name(f".{checkout.name}.run-tests.lock")))
        if not options.only_prepare:
            reports.clear()
        ready = environment.ready(packages, cache=options.environment_cache, own=own)
        made = held.enter_context(ready)
        if options.only_prepare:
            return Outputs(
                installer=made.choice.installer,
                installer_reason=made.choice.reason,
                message=f"the tests' environment is ready, {made.choice.origin}",
            )
        if planned:
            stage_inputs.stage(checkout, options.input_directory, planned)
            staged_files.record(checkout, options.input_directory, planned)
            logger.info("staged %s", ", ".join(planned))
        return _run_pytest(options, checkout, reports, made)


def _packages(options: Options, checkout: Path) -> Packages:
    return Packages(
        choice=installers.choose(options.installer, checkout, options.extra_packages),
        checkout=checkout,
        extra=options.extra_packages,
        plugins=pytest.plugins(coverage=options.with_coverage, html=options.with_html),
        timeout=options.install_timeout,
        attempts=options.attempts,
    )


def _run_pytest(options: Options, checkout: Path, reports: Reports, made: Environment) -> Outputs:
    kills = cgroup.oom_kills()
    try:
        done, recorded = pytest.run(
            made.python,
            checkout,
            reports,
            marker=options.marker,
            arguments=options.pytest_args,
            plugins=made.plugins,
            timeout=options.timeout,
        )
    except Cancelled as stop:
        stop.outputs = _outputs(options, Counts(), reports, made.choice)
        raise
    for name in pytest.undeclared_markers(done.output):
        logger.warning("the repository uses the marker %s, but its markers do not list it", name)
    cases: tuple[Case, ...] = ()
    unread = None
    try:
        cases = junit.read(reports.junit)
    except StepError as error:
        unread = error
    allowances = [Allowance.parse(text) for text in options.allow_failures]
    _warn_of_unused(allowances, cases)
    counts = count_outcomes(cases, allowances)
    for test in counts.failures:
        if test.allowed:
            why = test.reason or "no reason is given"
            logger.info("allowed: %s: %s: %s", test.name, test.message, why)
    outputs = _outputs(options, counts, reports, made.choice)
    out_of_memory = kills != cgroup.oom_kills()
    failure = verdict.judge(done, counts, unread, recorded, out_of_memory=out_of_memory)
    if failure is None:
        return replace(outputs, message=f"{outputs.message}{verdict.name_removed(recorded)}")
    places = (checkout, reports.log.parent, Path(tempfile.gettempdir()))
    failure = verdict.blame_full_disk(failure, places)
    if failure.reason is Reason.NO_TESTS and options.marker:
        hint = pytest.marker_hint(options.marker, made.python, checkout)
        hint = f"{failure} for the marker {options.marker!r}{hint}"
        failure = type(failure)(hint, reason=failure.reason, evidence=failure.evidence)
    failure_evidence.log_failures(counts)
    failure.place = failure_evidence.find_place(counts, checkout)
    raise failure.leaving(replace(outputs, status="failed", message=str(failure)))


def _warn_of_unused(allowances: Sequence[Allowance], cases: Sequence[Case]) -> None:
    for allowance in allowances:
        covered = [case for case in cases if allowance.covers(case)]
        if not covered:
            logger.warning("--allow-failures %s matches no test that ran", allowance.pattern)
        elif all(case.outcome == "passed" for case in covered):
            logger.warning("--allow-failures %s is not needed: it passed", allowance.pattern)


def _outputs(options: Options, counts: Counts, reports: Reports, choice: Choice) -> Outputs:
    def existing(path: Path) -> Path | None:
        return path if path.is_file() else None

    return Outputs(
        total=counts.total,
        passed=counts.passed,
        failed=counts.failed,
        errors=counts.errors,
        skipped=counts.skipped,
        allowed=counts.allowed,
        coverage=coverage.read(reports.coverage) if options.with_coverage else None,
        junit=existing(reports.junit),
        coverage_report=existing(reports.coverage),
        html_report=existing(reports.html),
        log=existing(reports.log),
        installer=choice.installer,
        installer_reason=choice.reason,
        test_output=counts.checks,
        failures=counts.failures,
        slowest=counts.slowest,
        skips=counts.skips,
        status="tolerated" if counts.allowed else "succeeded",
        message=str(counts),
    )
