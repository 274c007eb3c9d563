r"""Run a test repository's pytest suite against the files that earlier steps made.

The input files are copied into the checkout's input directory (which is emptied first), what
the tests need is installed into an environment of its own, and pytest runs by that
environment's Python. Whether the tests passed is read from pytest's exit code and its JUnit
report together; a report that is missing or broken fails the step. The log, the JUnit and
coverage reports and the HTML page are left in the artifacts directory, however the tests end.

For example:

    stepkit run-tests --checkout work/tests --inputs out/output_analysis.html \
        --marker single_cell --artifacts artifacts
"""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from stepkit.errors import Cancelled, ConfigurationError, Reason, StepError
from stepkit.options import DETAIL, DURATION
from stepkit.system import atomic_files, cgroup
from stepkit.test_suite import counts as test_suite_counts
from stepkit.test_suite import coverage as test_suite_coverage
from stepkit.test_suite import installers, stage_inputs
from stepkit.test_suite import junit as test_suite_junit
from stepkit.test_suite import pytest as test_suite_pytest
from stepkit.test_suite import verdict as test_suite_verdict
from stepkit.test_suite.counts import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.test_suite.counts import Tally
    from stepkit.test_suite.installers import Choice
    from stepkit.test_suite.pytest import Reports

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which tests to run, on which files, and in which environment."""

    checkout: Annotated[Path, "directory of the test repository"]
    inputs: Annotated[tuple[Path, ...], "files to stage for the tests"] = ()
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
    extra_packages: Annotated[tuple[str, ...], "packages to install on top"] = ()
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


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """How the tests ended; every failure after pytest ran carries these, too."""

    total: Annotated[int, "tests in the JUnit report"] = 0
    passed: Annotated[int, "tests that passed"] = 0
    failed: Annotated[int, "tests that failed and were not allowed to"] = 0
    errors: Annotated[int, "tests whose setup, teardown or collection failed"] = 0
    skipped: Annotated[int, "tests that were skipped, or failed as expected (xfail)"] = 0
    allowed: Annotated[int, "tests that failed and were allowed to"] = 0
    coverage: Annotated[str, "lines covered, such as 87.5 %; n/a or unknown"] = (
        test_suite_coverage.UNKNOWN
    )
    junit: Annotated[Path | None, "JUnit report"] = None
    coverage_report: Annotated[Path | None, "coverage report (Cobertura XML)"] = None
    html_report: Annotated[Path | None, "report as one HTML page"] = None
    log: Annotated[Path | None, "all that pytest printed"] = None
    installer: Annotated[str, "what installed the tests' packages"] = ""
    installer_reason: Annotated[str, "why that one"] = ""
    failures: Annotated[tuple[Failure, ...], "each failed test, and why", DETAIL] = ()
    status: Annotated[str, "succeeded, or tolerated if only allowed failures were found"] = (
        "succeeded"
    )
    message: Annotated[str, "how the tests ended, in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Stage the inputs, install, test, and judge."""
    checkout, reports, environment = _paths(options)
    planned = () if options.only_prepare else stage_inputs.plan(options.inputs, options.input_names)
    if planned:
        kept = (*options.inputs, reports.log.parent, environment)
        stage_inputs.check_directory(checkout, options.input_directory, kept)
    atomic_files.check_writable(reports.log.parent)
    choice = installers.choose(options.installer, checkout, options.extra_packages)
    logger.info("installer: %s (%s)", choice.installer, choice.reason)
    with _alone(checkout, environment, choice):
        if options.only_prepare:
            _, choice = _prepare(options, checkout, environment, choice)
            return Outputs(
                installer=choice.installer,
                installer_reason=choice.reason,
                message=f"the tests' environment is ready, made by {choice.installer}",
            )
        reports.clear()
        python, choice = _prepare(options, checkout, environment, choice)
        if planned:
            stage_inputs.stage(checkout, options.input_directory, planned)
            logger.info("staged %s", ", ".join(planned))
        return _test(options, checkout, python, reports, choice)


def _prepare(
    options: Options, checkout: Path, environment: Path, choice: Choice
) -> tuple[Path, Choice]:
    """Make the tests' environment; return its Python, and how it was made in the end."""
    python, choice = installers.prepare(
        choice,
        checkout,
        environment,
        extra_packages=options.extra_packages,
        timeout=options.install_timeout,
        attempts=options.attempts,
    )
    test_suite_pytest.check(python, choice.installer)
    return python, choice


@contextmanager
def _alone(checkout: Path, environment: Path, choice: Choice) -> Iterator[None]:
    """Wait until no other run uses the checkout's input directory, or the environment."""
    with ExitStack() as locks:
        locks.enter_context(
            atomic_files.locked(checkout.with_name(f".{checkout.name}.run-tests.lock"))
        )
        if choice.installer != "none":
            lock = environment.with_name(f".{environment.name.lstrip('.')}.lock")
            locks.enter_context(atomic_files.locked(lock))
        yield


def _paths(options: Options) -> tuple[Path, Reports, Path]:
    checkout = Path(os.path.realpath(options.checkout))
    if not checkout.is_dir():
        raise ConfigurationError(
            f"there is no checkout {options.checkout}{atomic_files.near_names(checkout)}",
            reason=Reason.NOT_FOUND,
        )
    if "/" in options.suffix:
        raise ConfigurationError(f"the suffix {options.suffix!r} is no part of a file's name")
    artifacts = Path(os.path.abspath(options.artifacts))  # noqa: PTH100 - follows no symlink
    beside = checkout.with_name(f".{checkout.name}.environment")
    environment = Path(os.path.abspath(options.environment or beside))  # noqa: PTH100
    return checkout, test_suite_pytest.Reports.within(artifacts, options.suffix), environment


def _test(
    options: Options, checkout: Path, python: Path, reports: Reports, choice: Choice
) -> Outputs:
    kills = cgroup.oom_kills()
    try:
        done, seen = test_suite_pytest.run(
            python,
            checkout,
            reports,
            marker=options.marker,
            arguments=options.pytest_args,
            timeout=options.timeout,
        )
    except Cancelled as stop:
        stop.outputs = _outputs(test_suite_counts.Tally(), reports, choice)
        raise
    for name in test_suite_pytest.undeclared_markers(done.output):
        logger.warning("the repository uses the marker %s, but its markers do not list it", name)
    cases, unread = _cases(reports)
    allowances = [test_suite_counts.Allowance.parse(text) for text in options.allow_failures]
    _say_unused(allowances, cases)
    counted = test_suite_counts.tally(cases, allowances)
    outputs = _outputs(counted, reports, choice)
    out_of_memory = kills != cgroup.oom_kills()
    if trouble := test_suite_verdict.judge(
        done, counted, unread, seen, out_of_memory=out_of_memory
    ):
        trouble = _explained(trouble, options, checkout, python)
        raise trouble.leaving(replace(outputs, status="failed", message=str(trouble)))
    return outputs


def _cases(reports: Reports) -> tuple[tuple[test_suite_junit.Case, ...], StepError | None]:
    try:
        return test_suite_junit.read(reports.junit), None
    except StepError as error:
        return (), error


def _say_unused(
    allowances: list[test_suite_counts.Allowance], cases: tuple[test_suite_junit.Case, ...]
) -> None:
    for allowance in allowances:
        if not any(allowance.covers(case) for case in cases):
            logger.warning("--allow-failures %s matches no test that ran", allowance.pattern)
        elif all(case.outcome == "passed" for case in cases if allowance.covers(case)):
            logger.warning("--allow-failures %s is not needed: it passed", allowance.pattern)


def _explained(error: StepError, options: Options, checkout: Path, python: Path) -> StepError:
    """Say why a marker selected nothing, which the tests themselves cannot tell."""
    if error.reason is not Reason.NO_TESTS or not options.marker:
        return error
    declared = test_suite_pytest.declared_markers(python, checkout)
    hint = f"the repository declares {', '.join(declared) or 'no marker of its own'}"
    return type(error)(f"{error} for the marker {options.marker!r}: {hint}", reason=error.reason)


def _outputs(counted: Tally, reports: Reports, choice: Choice) -> Outputs:
    def there(path: Path) -> Path | None:
        return path if path.is_file() else None

    return Outputs(
        total=counted.total,
        passed=counted.passed,
        failed=counted.failed,
        errors=counted.errors,
        skipped=counted.skipped,
        allowed=counted.allowed,
        coverage=test_suite_coverage.read(reports.coverage),
        junit=there(reports.junit),
        coverage_report=there(reports.coverage),
        html_report=there(reports.html),
        log=there(reports.log),
        installer=choice.installer,
        installer_reason=choice.reason,
        failures=counted.failures,
        status="tolerated" if counted.allowed else "succeeded",
        message=str(counted),
    )
