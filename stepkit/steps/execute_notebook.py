r"""Execute a notebook with papermill, and tell truly how it ended.

The verdict comes from the kernel's own replies: a notebook passes when every one of its code
cells ran. From the first cell on the executed notebook is there in every case, with all outputs
up to the failure, and saved every few seconds on the way.

Parameters are papermill's: --parameters guesses types (n=5 is a number, flag=True a boolean),
--parameters-raw keeps text, and -y, -f and -b take YAML text, YAML files and base64 of YAML.
-p NAME VALUE and -r NAME VALUE work too. A parameter that the notebook does not have is an
error. Cells tagged skip-execution are left out; an error in a cell tagged raises-exception is
expected.

A notebook that you do not own is changed on its way to the kernel, never on disk: --rules names
a file that says which values to set, what to replace, skip or inject, which errors are tolerated,
and which variants there are. What was changed is written beside the output.

A call that finds no GPU ends the run with the true cause and exit code 2; --gpu required looks
before the first cell. The RAPIDS Memory Manager is guarded: what the notebook asks of it is done,
or the next lower thing that works (--rmm-mode puts another allocator in its place), and the
report says which. --on-gpu-oom retry-lower runs a notebook again that ran out of GPU memory.

For example:

    stepkit execute-notebook --notebook source/analysis.ipynb --output out/analysis.ipynb \
        --parameters n_pcs=50 resolution=0.8 --execution-timeout 30m --run-timeout 2h

    stepkit execute-notebook --notebook source/analysis.ipynb --output out/analysis.ipynb \
        --rules rules.yaml --variant lite --page out/analysis.html

    stepkit execute-notebook --notebook source/analysis.ipynb --output out/analysis.ipynb \
        --gpu required --rmm-mode pool --rmm-pool-size 0.5
"""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from stepkit import rules
from stepkit.engine import parameter_flags
from stepkit.engine import run_cells as engine
from stepkit.engine.cell_events import progress
from stepkit.engine.options import EngineOptions, request
from stepkit.engine.parameter_flags import ParameterOptions
from stepkit.errors import Cancelled, ConfigurationError, StepError
from stepkit.gpu.memory import attempt_files, oom_retry
from stepkit.gpu.monitor import run_metrics
from stepkit.gpu.session import Alongside
from stepkit.gpu.step_options import GpuOptions
from stepkit.gpu.step_outputs import GpuOutputs
from stepkit.html import nbconvert
from stepkit.notebook import ipynb, kernelspecs
from stepkit.notebook import verdict as notebook_verdict
from stepkit.notebook.verdict import CellRun
from stepkit.options import DETAIL, READS, WRITES, Also
from stepkit.rules import Change
from stepkit.step import InReport, Status
from stepkit.system import atomic_files, logfile

if TYPE_CHECKING:
    from stepkit.engine.run_cells import Started
    from stepkit.engine.run_request import Outcome
    from stepkit.rules import Book, Patched

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options(GpuOptions, ParameterOptions, EngineOptions):
    """What to execute, with which parameters, on which GPU, and within which limits."""

    notebook: Annotated[Path, "notebook to execute (.ipynb); it is never changed", READS]
    output: Annotated[Path, "where to write the executed notebook", WRITES]
    kernel: Annotated[str | None, "kernel to use instead of the notebook's own", Also("-k")] = None
    language: Annotated[str | None, "language of the notebook, if it does not say", Also("-l")] = (
        None
    )
    cwd: Annotated[Path | None, "working directory; by default the notebook's folder"] = None
    log: Annotated[Path | None, "log file; by default papermill.log beside the output", WRITES] = (
        None
    )
    report_mode: Annotated[bool, "hide the code of all cells", Also("--report_mode")] = False
    rules: Annotated[Path | None, "YAML file of changes and tolerated errors", READS] = None
    variant: Annotated[str | None, "variant of the rules to run; its suffix names the files"] = None
    tolerate: Annotated[
        tuple[str, ...], "ENAME:REGEX of an error to go on past, such as 'KeyError:.*pca'"
    ] = ()
    keep_shutdown_cells: Annotated[bool, "run cells that do nothing but end the kernel"] = False
    page: Annotated[Path | None, "HTML page to make of it, as by convert-notebook", WRITES] = None
    metrics: Annotated[Path | None, "file for metrics in Prometheus' text format", WRITES] = None


@dataclass(frozen=True, kw_only=True)
class Outputs(GpuOutputs):
    """What was written, and how far the notebook came."""

    in_report: ClassVar[InReport] = InReport(section="notebook", headline=True)

    notebook: Annotated[Path, "absolute path of the executed notebook"]
    log: Annotated[Path, "absolute path of the log file"]
    kernel: Annotated[str, "kernel that was used"]
    cells_total: Annotated[int, "code cells of the notebook"]
    cells_run: Annotated[int, "code cells that ran to their end"]
    tolerated: Annotated[int, "tolerated errors among them"] = 0
    variant: Annotated[str, "variant of the rules that was run"] = ""
    page: Annotated[Path | None, "absolute path of the page"] = None
    patched: Annotated[Path | None, "the notebook as the rules changed it"] = None
    diff: Annotated[Path | None, "what the rules changed, as a unified diff"] = None
    cells: Annotated[tuple[CellRun, ...], "each code cell", DETAIL] = ()
    changes: Annotated[tuple[Change, ...], "what the rules did to each cell", DETAIL] = ()
    strays: Annotated[tuple[str, ...], "processes that the notebook left running", DETAIL] = ()
    messages_lost: Annotated[int, "messages of the kernel that never arrived", DETAIL] = 0
    status: Annotated[Status, "succeeded, tolerated, failed or cancelled"] = "succeeded"
    message: Annotated[str, "how it ended, in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Execute; when the GPU is too small and it is asked for, again with a lower allocator."""
    book = rules.load(options.rules) if options.rules else rules.EMPTY
    book.variant(options.gpu_oom_variant)  # refused now, not before the last attempt
    named, rungs = _named_after(book, options), oom_retry.rungs(options)
    further = (named.page, named.stdout_file, named.stderr_file)  # metrics are of the last one
    written = attempt_files.written(named.output, _log(named), *further)
    if os.path.exists(options.notebook):  # noqa: PTH110 - a name that is too long is none
        attempt_files.forget(written, inputs=[options.notebook])
    with run_metrics.of_failure(options.metrics, named.output.stem):
        return oom_retry.run(
            lambda rung: _attempt(replace(options, **rung.changes), book),
            rungs,
            lambda number: attempt_files.keep(written, number),
        )


def _attempt(options: Options, book: Book) -> Outputs:
    """Check everything that can be checked before the first cell, execute, and judge."""
    options = _named_after(book, options)
    document = ipynb.load(options.notebook)
    _check_paths(options)
    told = ipynb.metadata(document, options.notebook)
    kernel, language = kernelspecs.choose(told, kernel=options.kernel, language=options.language)
    cwd = (options.cwd or options.notebook.parent).absolute()
    with ExitStack() as stack:
        beside = stack.enter_context(Alongside(options, kernel=kernel, cwd=cwd))
        # It boots while the notebook is prepared.
        started = stack.enter_context(engine.started(kernel, cwd, beside.environment))
        beside.kernel_started(started.kernel.pid)
        original = ipynb.with_ids(ipynb.upgraded(document, options.notebook))
        del document  # it may be large
        if options.gpu_oom_variant:  # what does not fit is refused before the first attempt
            _ready(replace(options, variant=options.gpu_oom_variant), book, original, language)
        patched, given = _ready(options, book, original, language)
        handler = stack.enter_context(logfile.recording(_log(options)))
        outputs = _outputs(options, kernel, original, patched)
        prepared = engine.prepared(
            patched.notebook,
            given,
            source=options.notebook.absolute(),
            output=options.output.absolute(),
            kernel=kernel,
            language=language,
            report_mode=options.report_mode,
        )
        beside.check()
        outcome = _execute(options, prepared, patched, started, handler)
        return _judged(options, outputs, outcome, beside)


def _named_after(book: Book, options: Options) -> Options:
    """Give the files the suffix of the variant, unless they have it."""
    suffix = book.variant(options.variant).suffix
    return replace(
        options,
        output=atomic_files.with_suffix(options.output, suffix),
        page=options.page and atomic_files.with_suffix(options.page, suffix),
    )


def _ready(
    options: Options, book: Book, original: Any, language: str
) -> tuple[Patched, dict[str, Any]]:
    """Return the notebook as rules change it, and its parameters."""
    patched = rules.apply(
        original,
        book,
        variant=options.variant,
        extra_tolerances=[rules.tolerance(text) for text in options.tolerate],
        strip_shutdown=not options.keep_shutdown_cells,
        language=language,
    )
    if patched.skipped and not patched.runnable:
        raise ConfigurationError(f"rules skip all cells ({patched.skipped}): nothing would run")
    given = parameter_flags.given(
        options,
        patched.parameters,
        taken=patched.names_set,
        source=options.notebook,
        output=options.output,
    )
    if language == "python":
        parameter_flags.check_known(options, patched.notebook, given)
    return patched, given


def _execute(
    options: Options, prepared: Any, patched: Patched, started: Started, handler: logging.Handler
) -> Outcome:
    bar = logfile.on_terminal() if options.progress_bar is None else options.progress_bar
    with ExitStack() as stack:
        asked = request(
            options,
            prepared,
            options.output.absolute(),
            patched.tolerances,
            progress_bar=bar,
            stack=stack,
        )
        if bar:  # while it is on the screen, the lines for each cell are not
            stack.enter_context(logfile.only_to(handler, progress))
        if options.page:
            stack.enter_context(nbconvert.preloading())
        outcome = engine.execute(asked, started)
    for declared in patched.tolerances.unused():
        logger.info("tolerance for %s was not needed: %s", declared.ename, declared.reason)
    return replace(outcome, execution=replace(outcome.execution, skipped=patched.skipped))


def _judged(options: Options, outputs: Outputs, outcome: Outcome, beside: Alongside) -> Outputs:
    """Judge the run; a signal that comes meanwhile loses nothing of what is known."""
    execution = outcome.execution
    outputs = replace(
        outputs,
        cells_total=execution.total,
        cells_run=execution.ran,
        tolerated=len(execution.tolerated),
        cells=tuple(execution.cells),
        strays=outcome.strays,
        messages_lost=execution.messages_lost,
        status="tolerated" if execution.tolerated else "succeeded",
    )
    try:
        return _told(options, outputs, outcome, beside)
    except KeyboardInterrupt as stop:
        cancelled = stop if isinstance(stop, Cancelled) else Cancelled()
        execution = replace(execution, cancelled_by=cancelled.signum)
        raise Cancelled(
            cancelled.signum,
            outputs=cancelled.outputs or outputs,
            message=notebook_verdict.interrupted(execution),
        ) from None


def _told(options: Options, outputs: Outputs, outcome: Outcome, beside: Alongside) -> Outputs:
    """Tell the verdict; a page that cannot be made never hides what it says."""
    execution = beside.ended(outcome.execution)
    error, trouble, message = None, None, ""
    try:
        message = notebook_verdict.judge(execution)
    except StepError as judged:
        error = beside.explained(judged, execution)
    if options.page and not execution.cancelled_by:
        directory = options.notebook.absolute().parent
        trouble = nbconvert.trouble_with(outcome.notebook, options.page, directory)
        outputs = replace(outputs, page=None if trouble else options.page.absolute())
    outputs = replace(
        outputs,
        cells=tuple(execution.cells),
        **beside.outputs(outputs.notebook, execution, error or trouble, options.metrics),
    )
    if execution.cancelled_by:
        raise Cancelled(execution.cancelled_by, outputs=outputs)
    logger.info("verdict: %s", error or message)
    if error:
        raise error.leaving(outputs)
    if trouble:
        raise trouble.leaving(outputs, prefix=f"{message}, but there is no page: ")
    return replace(outputs, message=message)


def _check_paths(options: Options) -> None:
    ipynb.check_output(options.output, options.notebook)
    if options.cwd and not options.cwd.is_dir():
        raise ConfigurationError(f"there is no working directory {options.cwd}")


def _log(options: Options) -> Path:
    return (options.log or options.output.with_name("papermill.log")).absolute()


def _outputs(options: Options, kernel: str, original: Any, patched: Patched) -> Outputs:
    outputs = Outputs(
        notebook=options.output.absolute(),
        log=_log(options),
        kernel=kernel,
        cells_total=0,
        cells_run=0,
        variant=options.variant or "",
        changes=patched.changes,
    )
    for change in patched.changes:
        logger.info("rule %s: %s", change.rule, change.what)
    written = rules.write(original, patched, options.notebook.name, beside=outputs.notebook)
    return replace(outputs, patched=written[0], diff=written[1]) if written else outputs
