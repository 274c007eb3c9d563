r"""Execute a notebook with papermill, and report its true outcome.

The verdict comes from the kernel's replies: a notebook passes when every one of its code cells
ran. The executed notebook is written in every case, and saved every few seconds during the run.

Parameters are papermill's: --parameters guesses types (n=5 is a number, flag=True a boolean),
--parameters-raw keeps text, and -y, -f and -b take YAML text, YAML files and base64 of YAML.
-p NAME VALUE and -r NAME VALUE work too, as do IN and OUT without a flag; both may be an s3://
address, and IN an https:// one. A parameter that the notebook does not have is an error. Cells
tagged skip-execution are skipped; an error in a cell tagged raises-exception is expected.

A notebook that you do not own is changed on its way to the kernel, never on disk, as the file of
--rules says. With --golden, its outputs have to be those of a notebook that is kept.

A call that finds no GPU ends the run with the true cause and exit code 2; --gpu required checks
this before the first cell. Where the RAPIDS Memory Manager cannot be set up as the notebook asks,
the next allocator that works is used. --on-gpu-oom retry-lower runs a notebook again that ran out
of GPU memory, --attempts one that failed by bad luck: if it passes then, its status is flaky.

For example:

    stepkit execute-notebook source/analysis.ipynb out/analysis.ipynb \
        --parameters n_pcs=50 resolution=0.8 --execution-timeout 30m --run-timeout 2h

    stepkit execute-notebook source/analysis.ipynb s3://runs/analysis.ipynb --gpu required \
        --rules rules.yaml --variant lite --page out/analysis.html
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from stepkit import rules
from stepkit.artifacts import remote_notebooks
from stepkit.artifacts.remote_notebooks import RemoteOptions
from stepkit.engine import parameter_flags, run_junit
from stepkit.engine import run_cells as engine
from stepkit.engine.cell_events import progress
from stepkit.engine.options import EngineOptions, open_request
from stepkit.engine.parameter_flags import ParameterOptions
from stepkit.engine.progress_file import ProgressFile
from stepkit.errors import Cancelled, ConfigurationError
from stepkit.golden.differences import Comparison
from stepkit.golden.golden_options import GoldenCheck, GoldenOptions
from stepkit.gpu import session as gpu_session
from stepkit.gpu.memory import oom_retry
from stepkit.gpu.monitor import run_metrics
from stepkit.gpu.session import GpuOutputs, GpuSession
from stepkit.gpu.step_options import GpuOptions
from stepkit.html import nbconvert
from stepkit.notebook import attempts, failed_place, failure_note, ipynb, kernelspecs
from stepkit.notebook import verdict as notebook_verdict
from stepkit.notebook.attempt_files import paths_written, remove_kept
from stepkit.notebook.retry_options import RetryOptions
from stepkit.options import DETAIL, OR_ARGUMENT, OR_NO, READS, WRITES, Also
from stepkit.rules import Change, rules_options
from stepkit.step import InReport, Status
from stepkit.system import logfile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepkit.notebook.attempts import Attempt, Rung

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options(
    GpuOptions, RetryOptions, ParameterOptions, GoldenOptions, EngineOptions, RemoteOptions
):
    """What to execute, with which parameters, on which GPU, and within which limits."""

    notebook: Annotated[Path, "notebook to execute (.ipynb)", READS, OR_ARGUMENT]
    output: Annotated[Path, "where to write the executed notebook", WRITES, OR_ARGUMENT]
    kernel: Annotated[str | None, "kernel to use instead of the notebook's own", Also("-k")] = None
    language: Annotated[str | None, "language, if the notebook does not say", Also("-l")] = None
    exact_output: Annotated[bool, "refuse a variant whose suffix the output lacks"] = False
    cwd: Annotated[Path | None, "working directory; by default the notebook's folder"] = None
    log: Annotated[Path | None, "log (default: papermill.log beside the output)", WRITES] = None
    report_mode: Annotated[bool, "hide the code of all cells", Also("--report_mode"), OR_NO] = False
    keep_shutdown_cells: Annotated[bool, "run cells that do nothing but end the kernel"] = False
    page: Annotated[Path | None, "HTML page to make of it, as by convert-notebook", WRITES] = None
    metrics: Annotated[Path | None, "file for metrics in Prometheus' text format", WRITES] = None


@dataclass(frozen=True, kw_only=True)
class Outputs(GpuOutputs, engine.RunOutputs):
    """What was written, and how far the notebook came."""

    in_report: ClassVar[InReport] = InReport(section="notebook", headline=True, saves="output")

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
    changes: Annotated[tuple[Change, ...], "what the rules did to each cell", DETAIL] = ()
    golden: Annotated[Comparison | None, "what differs from the golden notebook", DETAIL] = None
    status: Annotated[Status, "succeeded, tolerated, flaky, failed or cancelled"] = "succeeded"
    message: Annotated[str, "how it ended, in one sentence"] = ""


@dataclass(frozen=True)
class Prepared:
    """A notebook that is ready to run; ``written`` are the files of what rules changed, if any."""

    options: Options
    notebook: Any
    patched: rules.Patched
    written: tuple[Path, Path] | None
    golden: GoldenCheck
    running: engine.RunningKernel
    gpu: GpuSession


@dataclass(frozen=True)
class Executed:
    """A notebook whose run has ended, and how."""

    prepared: Prepared
    outcome: engine.Outcome


def run(options: Options) -> Outputs:
    """Execute the notebook, and write its cells as test cases, however it ends."""
    return remote_notebooks.around(
        options, lambda o: run_junit.around(o.junit, str(options.notebook), partial(_run, o))
    )


def _run(options: Options) -> Outputs:
    """Execute; when the GPU is too small and it is asked for, again with a lower allocator."""
    book = rules_options.load(options, options.notebook)
    files = partial(_files, options, book)
    output = files(attempts.AS_ASKED)[0]
    with run_metrics.of_failure(options.metrics, run_metrics.labels(output, options.notebook)):
        options.reasons()
        rungs = oom_retry.rungs(options, variant=options.variant)
        remove_kept([path for rung in rungs for path in files(rung)], source=options.notebook)
        return ProgressFile(output, options.notebook).around(
            lambda file: attempts.run(
                partial(_attempt, options, book, file), rungs, files, oom_retry.below, options
            )
        )


def _files(options: Options, book: rules.Book, rung: Rung) -> list[Path]:
    """Return what an attempt on ``rung`` may write, but metrics, which are of the last one."""
    its = _resolve(options, book, rung)
    return paths_written(its.output, _log(its), its.page, its.stdout_file, its.stderr_file)


def _attempt(
    options: Options, book: rules.Book, file: ProgressFile, rung: Rung, earlier: Sequence[Attempt]
) -> Outputs:
    """Run the notebook once, from its first cell, with the allocator of ``rung``."""
    with ExitStack() as stack:
        prepared = prepare(_resolve(options, book, rung), book, stack)
        flaky = any(options.flaky(attempt.reason for attempt in earlier))
        return judge(execute(prepared, file), flaky=flaky, before=sum(a.seconds for a in earlier))


def prepare(options: Options, book: rules.Book, stack: ExitStack) -> Prepared:
    """Start the kernel, and check meanwhile all that can fail before the first cell.

    The kernel, the log and what watches the GPU end with ``stack``. Raises :class:`StepError`.
    """
    document = ipynb.load(options.notebook)
    ipynb.check_output(options.output, options.notebook)
    if options.cwd and not options.cwd.is_dir():
        raise ConfigurationError(f"there is no working directory {options.cwd}")
    given = ipynb.metadata(document, options.notebook)
    kernel, language = kernelspecs.choose(given, kernel=options.kernel, language=options.language)
    cwd = (options.cwd or options.notebook.parent).absolute()
    gpu = stack.enter_context(gpu_session.begin(options, kernel=kernel, cwd=cwd))
    running = stack.enter_context(engine.start_kernel(kernel, cwd, gpu.environment))
    gpu.follow(running.kernel.pid)

    original = ipynb.add_ids(ipynb.upgrade(document, options.notebook))
    del document  # it may be large
    if options.gpu_oom_variant:  # what does not fit is refused before the first attempt
        _patch(replace(options, variant=options.gpu_oom_variant), book, original, language)
    patched, parameters = _patch(options, book, original, language)
    golden = options.golden_check(book, original, patched.notebook, options.notebook)
    log_file = stack.enter_context(logfile.recording(_log(options)))
    if options.progress_bar:  # a line for each cell would break the bar on the screen
        stack.enter_context(logfile.only_to(log_file, progress))
    for change in patched.changes:
        logger.info("rule %s: %s", change.rule, change.what)
    output = options.output.absolute()
    written = rules.write(original, patched, options.notebook.name, beside=output)
    notebook = engine.prepare_notebook(
        patched.notebook, parameters, source=options.notebook.absolute(), output=output,
        kernel=kernel, language=language, report_mode=options.report_mode,
    )  # fmt: skip
    gpu.require()
    return Prepared(options, notebook, patched, written, golden, running, gpu)


def execute(prepared: Prepared, file: ProgressFile) -> Executed:
    """Run the cells. Raises :class:`StepError` when the kernel does not start or a disk is full."""
    options, tolerances = prepared.options, prepared.patched.tolerances
    with ExitStack() as stack:
        file.sample_with(prepared.gpu.latest)
        request = open_request(options, prepared.notebook, options.output, tolerances, stack)
        if options.page:
            stack.enter_context(nbconvert.preloading())
        outcome = engine.execute(replace(request, progress=file), prepared.running)
    for line in (*notebook_verdict.describe_tolerated(outcome.execution), *tolerances.unused()):
        logger.info("%s", line)
    return Executed(prepared, outcome)


def judge(executed: Executed, *, flaky: bool = False, before: float = 0.0) -> Outputs:
    """Return the outputs of a success. Raises the :class:`StepError` of a failure.

    ``flaky`` says that an attempt before this one failed by bad luck, ``before`` how many seconds
    all of those took. A signal meanwhile raises :class:`Cancelled` with all that is known.
    """
    prepared, outcome, execution = executed.prepared, executed.outcome, executed.outcome.execution
    gpu, options, page_error = prepared.gpu, prepared.options, None
    patched, diff = prepared.written or (None, None)
    outputs = Outputs(
        notebook=options.output.absolute(),
        log=_log(options),
        kernel=prepared.running.kernel.name,
        cells_total=execution.total, cells_run=execution.ran, tolerated=len(execution.tolerated),
        variant=options.variant or "",
        patched=patched, diff=diff, changes=prepared.patched.changes,
        status="tolerated" if execution.tolerated else "succeeded",
        **engine.run_outputs(outcome),
    )  # fmt: skip
    with notebook_verdict.cancelling(execution, outputs):
        verdict = gpu.judge(execution, outcome.notebook, outcome.cpu_fallback)
        verdict, kept = prepared.golden.judge(verdict, outcome.notebook)
        if options.page and not execution.cancelled_by:
            directory = options.notebook.absolute().parent
            failure_note.write(outcome.notebook, str(verdict.error or ""))
            page_error = nbconvert.try_to_write(outcome.notebook, options.page, directory)
            outputs = replace(outputs, page=None if page_error else options.page.absolute())
        why = verdict.error or page_error or options.refusal(outputs, verdict.message, flaky=flaky)
        paths = outputs.notebook, options.notebook, options.metrics
        found = gpu.outputs(verdict, *paths, error=why, flaky=flaky, before=before)
        outputs = replace(
            outputs, cells=tuple(verdict.execution.cells), golden=kept, **vars(found),
            test_output=verdict.execution.checks(kept.cells if kept else ()),
        )  # fmt: skip
        if execution.cancelled_by:
            raise Cancelled(execution.cancelled_by, outputs=outputs)
        if shown := notebook_verdict.describe_failure(verdict.execution):
            logfile.log_block(logger, logging.ERROR, shown[0], shown[1:])
        logger.info("verdict: %s", verdict.error or verdict.message)
        if error := verdict.error:
            error.place = error.place or failed_place.find(verdict.execution, options.notebook)
            raise error.leaving(outputs)
        if page_error:  # a page that cannot be made does not hide the verdict
            raise page_error.leaving(outputs, prefix=f"{verdict.message}, but there is no page: ")
        return replace(outputs, message=verdict.message)


def _resolve(options: Options, book: rules.Book, rung: Rung) -> Options:
    """Return the options on ``rung``; files get the suffix of its variant, unless they have it."""
    options = replace(options, **rung.changes)
    named = partial(rules_options.named, options, book, exact=options.exact_output)
    return replace(options, output=named(options.output), page=options.page and named(options.page))


def _log(options: Options) -> Path:
    return (options.log or options.output.with_name("papermill.log")).absolute()


def _patch(
    options: Options, book: rules.Book, original: Any, language: str
) -> tuple[rules.Patched, dict[str, Any]]:
    """Return the notebook as the rules change it, and its parameters."""
    patched = rules.apply(
        original, book, variant=options.variant,
        extra_tolerances=[rules.parse_tolerance(text) for text in options.tolerate],
        strip_shutdown=not options.keep_shutdown_cells, language=language,
        follow_markers=options.golden_of(book, options.notebook) is not None,
    )  # fmt: skip
    if patched.skipped and not patched.runnable:
        raise ConfigurationError(f"rules skip all cells ({patched.skipped}): nothing would run")
    parameters = parameter_flags.given(
        options, patched.notebook if language == "python" else None, patched.parameters,
        taken=patched.names_set, source=options.notebook, output=options.output,
    )  # fmt: skip
    return patched, parameters
