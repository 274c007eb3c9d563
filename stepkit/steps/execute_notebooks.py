r"""Execute several notebooks, each in a process and kernel of its own.

Each notebook runs as execute-notebook would run it alone, with its own log and its own report;
what each writes is named after it. They are given by --notebooks, paths or patterns in the order
in which they run, or by --plan, a YAML file that also says what needs what, which files each
reads and writes, and which notebooks are skipped, why and until when.

Everything that can be known is checked before the first one starts: that the notebooks are there,
that their needs form no circle, that each input exists or is written by a notebook before it,
that the kernels are installed, that rules and parameters fit.
When one fails, those that need it are not run and the others go on. With --jobs above 1 they
share the GPU: nothing keeps them from using its memory up.

For example:

    stepkit execute-notebooks --notebooks 'source/*.ipynb' --directory out \
        --reports out/reports --run-timeout 1h

    stepkit execute-notebooks --plan source/notebooks.yaml --directory out --page true
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from stepkit.batch import dry_run, validate_plan
from stepkit.batch import plan_file as batch_plan_file
from stepkit.batch import schedule as batch_schedule
from stepkit.batch import select as batch_select
from stepkit.batch import verdict as batch_verdict
from stepkit.batch.child import Run
from stepkit.batch.planned_notebook import NotebookRun, Places, Settings
from stepkit.errors import Cancelled, ConfigurationError
from stepkit.gpu.memory import guard_request, oom_retry
from stepkit.gpu.step_options import GpuOptions
from stepkit.options import DETAIL, DURATION, READS, AtLeast, Pair
from stepkit.step import InReport
from stepkit.system import atomic_files, signals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.batch.planned_notebook import Planned

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options(GpuOptions):
    """Which notebooks, where to, and what holds for all of them."""

    notebooks: Annotated[
        tuple[str, ...], "notebooks to execute: paths, or patterns such as 'source/*.ipynb'", READS
    ] = ()
    plan: Annotated[Path | None, "YAML file with the notebooks, instead of --notebooks", READS] = (
        None
    )
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
    rules: Annotated[Path | None, "YAML file of changes and tolerated errors", READS] = None
    variant: Annotated[str | None, "variant of the rules to run; its suffix names the files"] = None
    tolerate: Annotated[tuple[str, ...], "ENAME:REGEX of errors to go on past"] = ()
    kernel: Annotated[str | None, "kernel to use instead of the notebooks' own"] = None
    execution_timeout: Annotated[float | None, "limit for each cell; 0 is none", DURATION] = None
    run_timeout: Annotated[float | None, "limit for each notebook; 0 is none", DURATION] = None
    page: Annotated[bool, "convert each notebook to a page too"] = False
    log_output: Annotated[bool, "log what cells print, as it comes"] = False


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """How many notebooks ended in which way; the six counts make up the total."""

    in_report: ClassVar[InReport] = InReport(section="notebooks", headline=True)

    total: Annotated[int, "notebooks of the run, skipped ones included"]
    passed: Annotated[int, "notebooks that passed"]
    tolerated: Annotated[int, "notebooks that passed with tolerated errors"]
    failed: Annotated[int, "notebooks that failed"]
    cancelled: Annotated[int, "notebooks that a signal stopped"]
    skipped: Annotated[int, "notebooks that the plan skips, for a reason that it gives"]
    not_run: Annotated[int, "notebooks that did not run because of a failure or a signal"]
    directory: Annotated[Path, "absolute path of the directory with the executed notebooks"]
    reports: Annotated[Path, "absolute path of the directory with their reports"]
    notebooks: Annotated[tuple[NotebookRun, ...], "how each notebook ended", DETAIL] = ()
    status: Annotated[
        Literal["succeeded", "tolerated"], "succeeded, tolerated, failed or cancelled"
    ] = "succeeded"
    message: Annotated[str, "how it ended, in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Check the whole plan, execute what can be executed, and judge."""
    places = _places(options)
    guard_request.settings(options, Path())  # refused now, not by each notebook
    oom_retry.rungs(options)
    plan = _plan(options)
    validate_plan.check(plan)
    plan = dry_run.rehearsed(plan)
    validate_plan.check_places(plan, places)
    _forget_reports(plan, places)
    stop, kill = Event(), Event()
    runner = Run(
        places=places,
        gpu=options,
        page=options.page,
        log_output=options.log_output,
        stop=stop,
        kill=kill,
    )
    work = batch_schedule.Schedule(
        plan, runner.execute, jobs=options.jobs, fail_fast=options.fail_fast, stop=stop
    )
    told = "stopping: what runs is saved; a second Ctrl-C ends it"
    stopped_by = signals.run_stoppable(work.run, stop=stop, kill=kill, message=told)
    runs = work.in_order()
    _tell(plan, runs, places)
    outputs = _outputs(runs, places)
    if stopped_by is not None:
        message = f"{Cancelled(stopped_by)}: {batch_verdict.counts(runs)}"
        raise Cancelled(stopped_by, outputs=outputs, message=message)
    if error := batch_verdict.error(runs):
        raise error.leaving(outputs)
    return outputs


def _places(options: Options) -> Places:
    if "/" in options.suffix or not options.suffix.isprintable():
        raise ConfigurationError(f"--suffix {options.suffix!a} cannot end the name of a file")
    directory = options.directory.absolute()
    reports = options.reports.absolute() if options.reports else directory / "reports"
    return Places(directory=directory, reports=reports, suffix=options.suffix)


def _plan(options: Options) -> Sequence[Planned]:
    if bool(options.notebooks) == bool(options.plan):
        raise ConfigurationError("name the notebooks by --notebooks or by --plan, one of the two")
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
        return batch_plan_file.planned(options.plan, flags, today=datetime.now(UTC).date())
    return batch_select.planned(options.notebooks, flags)


def _forget_reports(plan: Sequence[Planned], places: Places) -> None:
    """Remove the reports of an earlier run: nobody may take one for this run's."""
    for one in plan:
        path = places.report(one)
        with atomic_files.explaining(f"cannot remove the earlier report {path}"):
            path.unlink(missing_ok=True)


def _tell(plan: Sequence[Planned], runs: Sequence[NotebookRun], places: Places) -> None:
    for one, run in zip(plan, runs, strict=True):
        earlier = places.executed(one)
        if run.status in {"skipped", "not-run"} and os.path.lexists(earlier):
            logger.warning("%s did not run: %s is an earlier run's", run.name, earlier)
    for line in batch_verdict.table(runs):
        logger.info("%s", line)


def _outputs(runs: Sequence[NotebookRun], places: Places) -> Outputs:
    found = Counter(run.status for run in runs)
    return Outputs(
        total=len(runs),
        passed=found["passed"],
        tolerated=found["tolerated"],
        failed=found["failed"],
        cancelled=found["cancelled"],
        skipped=found["skipped"],
        not_run=found["not-run"],
        directory=places.directory,
        reports=places.reports,
        notebooks=tuple(runs),
        status="tolerated" if found["tolerated"] else "succeeded",
        message=batch_verdict.sentence(runs),
    )
