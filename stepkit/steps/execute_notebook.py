r"""Execute a notebook with papermill, and tell truly how it ended.

The verdict comes from the kernel's own replies: a notebook passes when every one of its code
cells ran. The executed notebook is written in every case, with all outputs up to the failure.

Parameters are papermill's: --parameters guesses types (n=5 is a number, flag=True a boolean),
--parameters-raw keeps text, and -y, -f and -b take YAML text, YAML files and base64 of YAML.
-p NAME VALUE and -r NAME VALUE work too. A parameter that the notebook does not have is an
error. Cells tagged skip-execution are left out; an error in a cell tagged raises-exception is
expected.

For example:

    stepkit execute-notebook --notebook source/analysis.ipynb --output out/analysis.ipynb \
        --parameters n_pcs=50 resolution=0.8 --execution-timeout 30m --run-timeout 2h
"""

from __future__ import annotations

import logging
import signal
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from stepkit import verdict
from stepkit.engine import execute as engine
from stepkit.engine.request import Request
from stepkit.engine.watch import progress
from stepkit.errors import Cancelled, ConfigurationError, StepError
from stepkit.options import DETAIL, DURATION, READS, WRITES, Also, Pair
from stepkit.tools import files, kernels, logfile, notebook, parameters
from stepkit.verdict import CellRun, Execution

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to execute, with which parameters, and within which limits."""

    notebook: Annotated[Path, "notebook to execute (.ipynb); it is never changed", READS]
    output: Annotated[Path, "where to write the executed notebook", WRITES]
    parameters: Annotated[
        tuple[str, ...], "NAME=VALUE, with papermill's guess of the type", Pair("-p")
    ] = ()
    parameters_raw: Annotated[
        tuple[str, ...], "NAME=VALUE, the value kept as text", Pair("-r")
    ] = ()
    parameters_file: Annotated[
        tuple[Path, ...], "YAML file of parameters", READS, Also("-f", "--parameters_file")
    ] = ()
    parameters_yaml: Annotated[
        tuple[str, ...], "YAML text of parameters", Also("-y", "--parameters_yaml")
    ] = ()
    parameters_base64: Annotated[
        tuple[str, ...], "base64 of YAML text of parameters", Also("-b", "--parameters_base64")
    ] = ()
    inject_input_path: Annotated[bool, "pass the notebook's path as PAPERMILL_INPUT_PATH"] = False
    inject_output_path: Annotated[bool, "pass the output's path as PAPERMILL_OUTPUT_PATH"] = False
    inject_paths: Annotated[bool, "pass both paths"] = False
    allow_unknown_parameters: Annotated[bool, "pass parameters the notebook does not have"] = False
    kernel: Annotated[str | None, "kernel to use instead of the notebook's own", Also("-k")] = None
    language: Annotated[str | None, "language of the notebook, if it does not say", Also("-l")] = (
        None
    )
    cwd: Annotated[Path | None, "working directory; by default the notebook's folder"] = None
    log: Annotated[Path | None, "log file; by default papermill.log beside the output", WRITES] = (
        None
    )
    log_output: Annotated[bool, "log what cells print, as it comes", Also("--log_output")] = False
    progress_bar: Annotated[bool | None, "show a bar; by default on a terminal only"] = None
    report_mode: Annotated[bool, "hide the code of all cells", Also("--report_mode")] = False
    start_timeout: Annotated[float, "limit for the kernel's start", DURATION] = 60.0
    execution_timeout: Annotated[float | None, "limit for each cell; 0 is none", DURATION] = None
    run_timeout: Annotated[float | None, "limit for the whole notebook; 0 is none", DURATION] = None
    autosave_cell_every: Annotated[int, "seconds between saves during a long cell"] = 30
    stdout_file: Annotated[Path | None, "file for what cells print to stdout", WRITES] = None
    stderr_file: Annotated[Path | None, "file for what cells print to stderr", WRITES] = None


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What was written, and how far the notebook came."""

    notebook: Annotated[Path, "absolute path of the executed notebook"]
    log: Annotated[Path, "absolute path of the log file"]
    kernel: Annotated[str, "kernel that was used"]
    cells_total: Annotated[int, "code cells of the notebook"]
    cells_run: Annotated[int, "code cells that ran to their end"]
    cells: Annotated[tuple[CellRun, ...], "each code cell", DETAIL] = ()
    message: Annotated[str, "how it ended, in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Check everything that can be checked before the kernel starts, execute, and judge."""
    _check_paths(options)
    original = notebook.read(options.notebook)
    kernel, language = kernels.choose(
        original.metadata, kernel=options.kernel, language=options.language
    )
    given = _parameters(options)
    if language == "python" and not options.allow_unknown_parameters:
        parameters.check_known(original, given.keys() - _paths(options).keys())
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    bar = on_terminal if options.progress_bar is None else options.progress_bar
    with logfile.recording(_log(options)) as handler, _only_in_log(handler, bar=bar):
        execution = _execute(options, original, given, kernel, language, bar=bar)
        outputs = _outputs(options, kernel, execution)
        if execution.cancelled_by:
            raise Cancelled(execution.cancelled_by, outputs=outputs, message=_progress(execution))
        try:
            message = verdict.judge(execution)
        except StepError as error:
            logger.info("verdict: %s", error)
            raise error.leaving(outputs) from None
        logger.info("verdict: %s", message)
    return replace(outputs, message=message)


def _execute(
    options: Options, nb: Any, given: dict[str, Any], kernel: str, language: str, *, bar: bool
) -> Execution:
    cwd = (options.cwd or options.notebook.parent).absolute()
    strays: list[str] = []
    with ExitStack() as stack:
        running = stack.enter_context(engine.started(kernel, cwd, strays))
        ready = engine.prepared(
            nb,
            given,
            source=options.notebook.absolute(),
            output=options.output.absolute(),
            kernel=kernel,
            language=language,
            report_mode=options.report_mode,
        )
        request = Request(
            notebook=ready,
            output=options.output.absolute(),
            log_output=options.log_output,
            progress_bar=bar,
            start_timeout=options.start_timeout,
            execution_timeout=options.execution_timeout or None,
            run_timeout=options.run_timeout or None,
            checkpoint_interval=options.autosave_cell_every,
            stdout_file=files.opened(stack, options.stdout_file),
            stderr_file=files.opened(stack, options.stderr_file),
        )
        return engine.execute(request, running, strays).execution


def _check_paths(options: Options) -> None:
    notebook.check(options.notebook)
    with files.explaining("cannot use a path"):  # one that is too long, say
        _check_places(options)


def _check_places(options: Options) -> None:
    output = options.output
    if output.is_dir():
        raise ConfigurationError(f"{output} is a directory: name the notebook to write in it")
    if output.exists() and output.samefile(options.notebook):
        raise ConfigurationError(f"the output {output} is the notebook itself: name another file")
    if options.cwd and not options.cwd.is_dir():
        raise ConfigurationError(f"there is no working directory {options.cwd}")
    files.check_writable(output.absolute().parent)


def _parameters(options: Options) -> dict[str, Any]:
    """Join the parameters in papermill's order: what comes later wins."""
    guessed = parameters.pairs(options.parameters, "--parameters")
    given = parameters.merged(
        _paths(options),
        *(
            parameters.from_base64(text, "--parameters-base64")
            for text in options.parameters_base64
        ),
        *(parameters.from_file(path) for path in options.parameters_file),
        *(parameters.from_yaml(text, "--parameters-yaml") for text in options.parameters_yaml),
        {name: parameters.guess(value) for name, value in guessed.items()},
        parameters.pairs(options.parameters_raw, "--parameters-raw"),
    )
    parameters.check_names(given)
    return given


def _paths(options: Options) -> dict[str, str]:
    paths = {}
    if options.inject_input_path or options.inject_paths:
        paths["PAPERMILL_INPUT_PATH"] = str(options.notebook)
    if options.inject_output_path or options.inject_paths:
        paths["PAPERMILL_OUTPUT_PATH"] = str(options.output)
    return paths


def _log(options: Options) -> Path:
    return (options.log or options.output.with_name("papermill.log")).absolute()


def _outputs(options: Options, kernel: str, execution: Execution) -> Outputs:
    return Outputs(
        notebook=options.output.absolute(),
        log=_log(options),
        kernel=kernel,
        cells_total=execution.total,
        cells_run=execution.ran,
        cells=tuple(execution.cells),
    )


def _progress(execution: Execution) -> str:
    name = signal.Signals(execution.cancelled_by or signal.SIGINT).name
    done = f"{execution.ran} of {execution.total} cells had run"
    return f"stopped by {name} when {done}; their outputs are saved"


@contextmanager
def _only_in_log(handler: logging.Handler, *, bar: bool) -> Iterator[None]:
    """While a bar is on the screen, keep the lines for each cell off it: the log file has them."""
    if not bar:
        yield
        return
    progress.propagate = False
    progress.addHandler(handler)
    try:
        yield
    finally:
        progress.propagate = True
        progress.removeHandler(handler)
