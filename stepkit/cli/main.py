"""The command line: runs one step or command, writes its results and report, and exits."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import platform
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, TextIO

import stepkit
from stepkit.cli import (
    cache_dirs,
    commands,
    flags,
    log,
    run_step,
    step_report,
    tekton_results,
    write_conflicts,
)
from stepkit.cli.parser import build_parser
from stepkit.cli.secret_variables import SECRET_VARIABLES
from stepkit.errors import StepError
from stepkit.redaction import redact
from stepkit.report import earlier_run
from stepkit.system import logfile, parent_death, stop_requests

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from _typeshed import DataclassInstance

    from stepkit.step import Step, StepResult

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one step and return its exit code."""
    parent_death.end_with_parent(os.environ)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a path need not be valid UTF-8
    given = sys.argv[1:] if argv is None else argv
    if sorted(given) == ["--json", "--version"]:
        _print_version()
        return 0
    named = given[0] if given and given[0] in commands.COMMANDS else None
    brief = given[:1] in (["--help"], ["-h"], ["--version"])
    args = build_parser(named, brief=brief).parse_args(given)
    cache_dirs.provide(os.environ)
    step = commands.COMMANDS[args.step]
    secrets = flags.secrets(step.Options, os.environ)
    for variable in SECRET_VARIABLES | secrets.keys():  # no child inherits one
        os.environ.pop(variable, None)
    log.configure(args.log_format, secrets.values())
    try:
        options = flags.collect(step.Options, args, {**os.environ, **secrets})
    except ValueError as error:
        return _fail(args, str(error), 2)
    earlier = earlier_run.find(args.report, args.step) if args.report else None
    started = dataclasses.replace(run_step.unfinished(args.step, options), earlier=earlier)
    with stop_requests.handled():
        try:
            stop_requests.begin()
            return _run(args, step, options, started, tuple(secrets.values()))
        except KeyboardInterrupt as stop:  # it came before the step began
            return _finish(args, run_step.stopped(started, stop), tuple(secrets.values()))


def _print_version() -> None:
    """Print as JSON what this installation is; outside our images, some facts are null."""
    facts = {
        "stepkit": stepkit.__version__,
        "commit": os.environ.get("STEPKIT_COMMIT") or None,  # set in images/Containerfile
        "base": os.environ.get("STEPKIT_BASE") or None,
        "python": platform.python_version(),
    }
    _print(json.dumps(facts), sys.stdout)


def _run(
    args: argparse.Namespace,
    step: Step,
    options: DataclassInstance,
    started: StepResult,
    secrets: tuple[str, ...],
) -> int:
    if started.earlier and args.no_rerun is True:
        why = f"{earlier_run.ending(started.earlier)}; {args.report} is its report"
        args.report = None  # that of the earlier run stays as it is
        return _finish(args, run_step.refused(started, why), secrets)
    if started.earlier:
        logger.warning("%s", earlier_run.sentence(args.step, started.earlier))
    written = [(f"--result {name}", path) for name, path in args.results]
    if args.report:
        written.append(("--report", args.report))
    try:
        write_conflicts.check(options, written)
        _write_interim(args, started, secrets)
        ended = dataclasses.replace(
            run_step.execute(args.step, step, options), earlier=started.earlier
        )
        result = step_report.complete(ended, options)
    except StepError as error:  # report or results cannot be written
        return _fail(args, str(error), error.exit_code)
    except Exception as error:
        _write_interim(args, run_step.bug(started, error), secrets)
        raise
    return _finish(args, result, secrets)


def _write_interim(args: argparse.Namespace, result: StepResult, secrets: tuple[str, ...]) -> None:
    """Write what is true until the step ends: a step that is killed leaves it behind.

    A result that is a pipe or a device gets its final value only. Raises :class:`StepError` when
    results or report cannot be written.
    """
    plain = [(name, path) for name, path in args.results if path.is_file() or not path.exists()]
    tekton_results.write_results(result, plain, secrets)
    if args.report:
        step_report.write_report(result, args.report, secrets)


def _finish(args: argparse.Namespace, result: StepResult, secrets: tuple[str, ...]) -> int:
    """Write results and report; neither may hide how the step itself ended."""
    stop_requests.take()
    problem: StepError | None = None
    writers: list[Callable[[], None]] = [
        lambda: tekton_results.write_results(result, args.results, secrets)
    ]
    if args.report:
        writers.append(lambda: step_report.write_report(result, args.report, secrets))
    for write in writers:
        try:
            write()
        except StepError as error:
            problem = error
            logger.error("%s", error)  # noqa: TRY400 - not a bug of ours
    shown = tekton_results.output_names(commands.COMMANDS[args.step])
    for name, value in result.outputs.items():
        if name in shown and name not in tekton_results.COMMON_OUTPUTS:
            text = redact(tekton_results.as_text(value), secrets)
            _print(logfile.one_line(f"{name}={text}"), sys.stdout)
    if result.exit_code:
        message = redact(f"{result.message} [{result.reason}]", secrets)
        return _fail(args, message, result.exit_code)
    verdict = f"{result.status} in {result.seconds:.1f} s: {redact(result.message, secrets)}"
    _say(args, logging.INFO, verdict.rstrip(": "))
    return problem.exit_code if problem else 0


def _fail(args: argparse.Namespace, message: str, exit_code: int) -> int:
    _say(args, logging.ERROR, f"error: {message}")
    return exit_code


def _say(args: argparse.Namespace, level: int, text: str) -> None:
    line = log.final_line(args.log_format, level, f"stepkit {args.step}: {text}")
    _print(line, sys.stderr)


def _print(line: str, stream: TextIO | None) -> None:
    """Print a line; a reader that has gone, or a full disk, does not change the verdict."""
    try:
        print(line, file=stream, flush=True)
    except (OSError, ValueError):
        devnull = os.open(os.devnull, os.O_WRONLY)
        if stream is not None:
            os.dup2(devnull, stream.fileno())  # or Python complains of the rest at its exit
