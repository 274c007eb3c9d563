r"""Execute several notebooks, each in its own process and kernel.

Each notebook runs as execute-notebook would run it alone, with its own log and its own report;
the files that it writes are named after it. Name the notebooks by --notebooks, as paths or
patterns in the order in which they run, or by --plan, a YAML file that also says which notebook
needs which, which files each reads and writes, and which are skipped, why and until when.

Before the first notebook starts, the step checks that all notebooks exist, that their needs form
no circle, that each input exists or is written by an earlier notebook, that the kernels are
installed, and that rules and parameters fit.
When a notebook fails, those that need it are not run and the others go on. With --jobs above 1
the notebooks share the GPU: nothing limits the memory that they use together.

For example:

    stepkit execute-notebooks --notebooks 'source/*.ipynb' --directory out \
        --reports out/reports --run-timeout 1h

    stepkit execute-notebooks --plan source/notebooks.yaml --directory out --page true
"""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from stepkit.batch import (
    child,
    dry_run,
    notebook_suites,
    plan_file,
    schedule,
    select,
    validate_plan,
    verdict,
)
from stepkit.batch.planned_notebook import NotebookRun, Places, Settings
from stepkit.engine import run_junit
from stepkit.errors import Cancelled, ConfigurationError
from stepkit.gpu.memory import guard_request, oom_retry
from stepkit.gpu.step_options import GpuOptions
from stepkit.notebook import cpu_fallback
from stepkit.notebook.retry_options import RetryOptions
from stepkit.options import DETAIL, DURATION, READS, WRITES, AtLeast, InCheckout, Metavar, Pair
from stepkit.rules.rules_options import RulesOptions
from stepkit.step import Checks, InReport
from stepkit.system import atomic_files, signals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.batch.planned_notebook import Planned
    from stepkit.notebook.cells_junit import Suite

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options(GpuOptions, RetryOptions, RulesOptions):
    """Which notebooks to run, where to write, and the settings of all of them."""

    notebooks: Annotated[
        tuple[str, ...], "notebooks to execute: paths, or patterns such as 'source/*.ipynb'", READS
    ] = ()
    plan: Annotated[
        Path | None, "YAML file with the notebooks, instead of --notebooks", READS, InCheckout()
    ] = None
    directory: Annotated[Path, "directory for NAME.ipynb, NAME.log and NAME.html"]
    reports: Annotated[
        Path | None, "directory for the report of each notebook; by default DIRECTORY/reports"
    ] = None
    jobs: Annotated[int, "how many run at once; they share the GPU", AtLeast(1)] = 1
    fail_fast: Annotated[bool, "start nothing more once a notebook failed"] = False
    suffix: Annotated[str, "end of the names of all files, such as _lite"] = ""
    parameters: Annotated[
        tuple[str, ...], "NAME=VALUE for every notebook, as execute-notebook takes it", Pair("-p")
    ] = ()
    parameters_of: Annotated[
        tuple[str, ...],
        "PATTERN={NAME: VALUE}: parameters, as YAML, of the --notebooks whose path is PATTERN, or "
        "fits it; --parameters win",
        Metavar("YAML"),
    ] = ()
    kernel: Annotated[str | None, "kernel to use instead of the notebooks' own"] = None
    execution_timeout: Annotated[float | None, "limit for each cell; 0 is none", DURATION] = None
    run_timeout: Annotated[float | None, "limit for each notebook; 0 is none", DURATION] = None
    page: Annotated[bool, "convert each notebook to a page too"] = False
    log_output: Annotated[bool, "log what cells print, as it comes"] = False
    resume: Annotated[
        str | None,
        "earlier run, by its name beside this one or its directory: notebooks whose inputs are the "
        "same take its files",
    ] = None
    junit: Annotated[
        Path | None,
        "JUnit file with a suite for each notebook and a test case for each cell",
        WRITES,
    ] = None

    @property
    def reports_directory(self) -> Path:
        """Where the reports of the notebooks go."""
        return (self.reports or self.directory / "reports").absolute()

    @property
    def second_report(self) -> Path:
        """A report beside those of the notebooks: only it names those that did not run."""
        suffix = re.sub(r"[^\w.-]", "_", self.suffix)  # one that cannot end a name is refused later
        return self.reports_directory / f"execute-notebooks{suffix}.json"


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """How many notebooks ended in which way; the eight counts add up to the total."""

    in_report: ClassVar[InReport] = InReport(section="notebooks", headline=True)

    total: Annotated[int, "notebooks of the run, skipped ones included"]
    passed: Annotated[int, "notebooks that passed"]
    tolerated: Annotated[int, "notebooks that passed with tolerated errors"]
    failed: Annotated[int, "notebooks that failed"]
    cancelled: Annotated[int, "notebooks that a signal stopped"]
    skipped: Annotated[int, "notebooks that the plan skips, for a reason that it gives"]
    not_run: Annotated[int, "notebooks that did not run because of a failure or a signal"]
    reused: Annotated[int, "notebooks whose files are those of an earlier run"] = 0
    flaky: Annotated[int, "notebooks that passed only when they ran again"] = 0
    directory: Annotated[Path, "absolute path of the directory with the executed notebooks"]
    reports: Annotated[Path, "absolute path of the directory with their reports"]
    junit: Annotated[Path | None, "absolute path of the JUnit file"] = None
    test_output: Annotated[Checks | None, "the counts as Konflux reads them, JSON"] = None
    notebooks: Annotated[tuple[NotebookRun, ...], "how each notebook ended", DETAIL] = ()
    status: Annotated[
        Literal["succeeded", "tolerated", "flaky"],
        "succeeded, tolerated, flaky, failed or cancelled",
    ] = "succeeded"
    message: Annotated[str, "how it ended, in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Execute the notebooks, and write their cells as test cases, however they end."""
    name = str(options.plan or " ".join(options.notebooks))
    return run_junit.around(options.junit, name, partial(_run, options), suites=_suites)


def _suites(outputs: Outputs | None, ended: Suite) -> list[Suite]:
    return notebook_suites.of_batch(outputs.notebooks, ended) if outputs else [ended]


def _run(options: Options) -> Outputs:
    """Check the whole plan, execute what can be executed, and judge."""
    plan, places = _prepare(options)
    stop, kill = Event(), Event()
    runner = child.Run(
        places=places,
        gpu=options,
        retry=options,
        rules=options,
        page=options.page,
        log_output=options.log_output,
        resume=options.resume or "",
        stop=stop,
        kill=kill,
        checked=child.checksums(plan),
    )
    work = schedule.Schedule(
        plan, runner.execute, jobs=options.jobs, fail_fast=options.fail_fast, stop=stop
    )
    notice = "stopping: what runs is saved; a second Ctrl-C ends it"
    stopped_by = signals.run_stoppable(work.run, stop=stop, kill=kill, message=notice)
    runs = work.in_order()
    for one, ended in zip(plan, runs, strict=True):
        earlier = places.executed(one)
        if ended.status in {"skipped", "not-run"} and os.path.lexists(earlier):
            logger.warning("%s did not run: %s is an earlier run's", ended.name, earlier)
    for line in verdict.table(runs):
        logger.info("%s", line)
    outputs = _outputs(runs, places)
    if stopped_by is not None:
        message = f"{Cancelled(stopped_by)}: {verdict.counts(runs)}"
        raise Cancelled(stopped_by, outputs=outputs, message=message)
    if error := verdict.error(runs):
        raise error.leaving(outputs)
    return outputs


def _prepare(options: Options) -> tuple[Sequence[Planned], Places]:
    """Check everything that can fail before the first notebook starts."""
    if "/" in options.suffix or not options.suffix.isprintable():
        raise ConfigurationError(f"--suffix {options.suffix!a} cannot end the name of a file")
    directory = options.directory.absolute()
    places = Places(directory=directory, reports=options.reports_directory, suffix=options.suffix)
    guard_request.settings(options, Path())  # wrong GPU options are refused once, not per notebook
    oom_retry.rungs(options, variant=options.variant)
    cpu_fallback.parse_limit(options.max_cpu_fallback)
    options.reasons()
    plan = _find_notebooks(options)
    validate_plan.check(plan)
    plan = dry_run.resolve_variants(plan, options)
    validate_plan.check_places(plan, places)
    for one in plan:  # so that no earlier report is taken for one of this run
        path = places.report(one)
        with atomic_files.explaining(f"cannot remove the earlier report {path}"):
            path.unlink(missing_ok=True)
    return plan, places


def _find_notebooks(options: Options) -> Sequence[Planned]:
    if bool(options.notebooks) == bool(options.plan):
        raise ConfigurationError("name the notebooks by --notebooks or by --plan, one of the two")
    if options.plan and options.parameters_of:
        raise ConfigurationError("--parameters-of is for --notebooks: a plan has parameters")
    flags = Settings(
        given=options.parameters,
        rules=options.rules,
        variant=options.variant,
        kernel=options.kernel,
        execution_timeout=options.execution_timeout,
        run_timeout=options.run_timeout,
        tolerate=options.tolerate,
    )
    if options.plan:
        return plan_file.read(
            options.plan,
            flags,
            today=datetime.now(UTC).date(),
            checkouts=options.checkouts,
            may_tolerate=options.may_tolerate(options.plan),
        )
    return select.find(options.notebooks, flags, options.parameters_of)


def _outputs(runs: Sequence[NotebookRun], places: Places) -> Outputs:
    found = Counter(run.status for run in runs)
    were_flaky = sum(run.was_flaky for run in runs)
    return Outputs(
        total=len(runs),
        passed=found["passed"],
        tolerated=found["tolerated"],
        failed=found["failed"],
        cancelled=found["cancelled"],
        skipped=found["skipped"],
        not_run=found["not-run"],
        reused=found["reused"],
        flaky=found["flaky"],
        directory=places.directory,
        reports=places.reports,
        test_output=Checks(
            successes=found["passed"] + found["reused"] - were_flaky,
            failures=found["failed"],
            warnings=found["tolerated"] + found["flaky"] + were_flaky,
        ),
        notebooks=tuple(runs),
        status="flaky"
        if found["flaky"] or were_flaky
        else "tolerated"
        if any(run.tolerated for run in runs)
        else "succeeded",
        message=verdict.sentence(runs),
    )
