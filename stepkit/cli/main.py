"""The command line: runs one step or command, writes its results and report, and exits."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import platform
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Final, TextIO

import stepkit
from stepkit import redaction
from stepkit.cli import (
    cache_dirs,
    commands,
    destinations,
    files_in_checkouts,
    flags,
    log,
    option_defaults,
    run_step,
    standard_output,
    verdict_line,
    write_conflicts,
    write_outcome,
)
from stepkit.cli.parser import UsageError, build_parser
from stepkit.cli.secret_variables import SECRET_VARIABLES, SHARED_VARIABLES
from stepkit.errors import ConfigurationError, StepError
from stepkit.options import READS, WRITES, marked
from stepkit.report import earlier_run
from stepkit.system import (
    os_errors,
    parent_death,
    process_memory,
    stepkit_process,
    stop_requests,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Mapping, Sequence

    from _typeshed import DataclassInstance

    from stepkit.cli.destinations import Destinations
    from stepkit.step import Step, StepResult

logger = logging.getLogger(__name__)

_SHORTEST_SHARED: Final = 8  # characters; what is shorter, such as "test", is in paths by chance


def main(argv: Sequence[str] | None = None) -> int:
    """Run one step and return its exit code."""
    parent_death.end_with_parent(os.environ)
    redaction.register_of_parent(os.environ)
    stepkit_process.set_later(os.environ)
    # Nothing that a run leaves is writable for everybody, and all of it is for this user.
    os.umask((os.umask(0o002) | 0o002) & 0o077)
    _print_any_path()
    given = list(sys.argv[1:] if argv is None else argv)
    if sorted(given) == ["--json", "--version"]:
        _print_version()
        return 0
    if given[:1] == ["help"]:
        given = [*given[1:2], "--help"]
    if not given:
        build_parser(brief=True).print_help(sys.stderr)
        return 2
    named = given[0] if given[0] in commands.COMMANDS else None
    brief = given[0] in {"--help", "-h", "--version"}
    try:
        defaults = option_defaults.find(given, os.environ)
        args = build_parser(named, brief=brief, optional=defaults.options).parse_args(given)
        used = option_defaults.apply(defaults, args)
    except UsageError as error:
        _refuse_unparsed(given, ConfigurationError(error.message))
        raise
    except StepError as error:
        return _refuse_unparsed(given, error)
    cache_dirs.provide(os.environ)
    step = commands.COMMANDS[args.step]
    secrets = flags.secrets(step.Options, os.environ)
    _hide(SECRET_VARIABLES | secrets.keys())
    option_defaults.keep_from_children(args.step, os.environ)
    try:
        options = flags.collect(step.Options, args, {**os.environ, **secrets})
    except ValueError as error:
        return _refuse(given, ConfigurationError(str(error)), secrets, args.log_format)
    log.configure(args.log_format, secrets.values(), quiet=args.quiet, verbose=args.debug)
    if used:
        level = logging.DEBUG if run_step.answers(step) else logging.INFO
        logger.log(level, "%s", option_defaults.sentence(used))
    to = destinations.parsed(args, options, secrets.values())
    standard_output.reserve(for_report=to.stdout)
    kept = next((path for path in to.reports if path == args.report), None)
    earlier = earlier_run.find(kept, args.step) if kept else None
    started = dataclasses.replace(run_step.unfinished(args.step, options), earlier=earlier)
    with stop_requests.handled():
        try:
            stop_requests.begin()
            return _run(args, step, options, started, to)
        except KeyboardInterrupt as stop:  # it came before the step began
            return _finish(run_step.stopped(started, stop), to, args.log_format)


def _print_any_path() -> None:
    """Let stdout and stderr take every path: one need not be valid UTF-8."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _hide(variables: Collection[str]) -> None:
    """Take secrets out of the environment, which children inherit, and mask all that were there."""
    process_memory.write_no_core_dump()
    process_memory.erase_variables({*variables, redaction.VARIABLE})
    for variable in variables:
        redaction.register(os.environ.pop(variable, ""))
    for variable in SHARED_VARIABLES:  # a notebook may have it, and print it
        if len(shared := os.environ.get(variable, "")) >= _SHORTEST_SHARED:
            redaction.register(shared)
    redaction.register_variables(os.environ)


def _refuse_unparsed(given: Sequence[str], why: StepError) -> int:
    """Report arguments, or defaults of them, that are wrong before any of them is known."""
    from stepkit.tekton import tasks_version

    try:
        tasks_version.check_words(given)
    except ConfigurationError as newer:
        why = newer.leaving(None, suffix=f" ({why})")
    secrets = {name: os.environ[name] for name in SECRET_VARIABLES if name in os.environ}
    asked = {word.removeprefix("--log-format=") for word in given}
    known = [name for name in log.FORMATS if name in asked]
    return _refuse(given, why, secrets, (known or ["auto"])[0])


def _refuse(
    given: Sequence[str], why: StepError, secrets: Mapping[str, str], log_format: str
) -> int:
    """Report arguments that are wrong, as far as they say where."""
    log.configure(log_format, secrets.values())
    name = "" if given[0].startswith("-") else given[0]
    result = run_step.refused(run_step.unfinished(name), why)
    return _finish(result, destinations.find(given, secrets.values()), log_format)


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
    to: Destinations,
) -> int:
    if started.earlier and args.no_rerun is True:
        why = f"--no-rerun: {earlier_run.ending(started.earlier)}; {args.report} is its report"
        kept = to.without([args.report])
        return _finish(run_step.refused(started, ConfigurationError(why)), kept, args.log_format)
    if started.earlier:
        logger.warning("%s", earlier_run.sentence(args.step, started.earlier))
    try:
        with os_errors.explaining_the_rest():
            options = files_in_checkouts.find(options)
            write_conflicts.check(options, to.by_flag)
            write_outcome.begin(started, to)
    except StepError as error:
        used = [path for mark in (READS, WRITES) for _, path in marked(options, mark)]
        return _finish(run_step.refused(started, error), to.without(used), args.log_format)
    from stepkit.cli.resume.run_or_reuse import run_or_reuse  # help and answers do without

    try:
        with os_errors.explaining_the_rest():
            ended = run_or_reuse(
                args.step,
                step,
                options,
                report=args.report if args.report in to.reports else None,
                resume=args.resumed_run or "",
                secrets=to.secrets,
            )
            result = dataclasses.replace(ended, earlier=started.earlier)
    except StepError as error:
        result = run_step.refused(started, error)
    except Exception as error:
        stop_requests.take()
        result = write_outcome.write(run_step.bug(started, error), to)
        if to.stdout:
            _print(standard_output.text(result, to), sys.stdout)
        raise
    return _finish(result, to, args.log_format)


def _finish(result: StepResult, to: Destinations, log_format: str) -> int:
    """Write results and report, say how the step ended, and return its exit code."""
    stop_requests.take()
    result = write_outcome.write(result, to)
    command = commands.COMMANDS.get(result.step)
    answers = command is not None and run_step.answers(command)
    if printed := standard_output.text(result, to):
        lost = _print(printed, sys.stdout)
        if lost and (to.stdout or answers):
            result = write_outcome.fail(result, to, lost)
    if result.exit_code or not answers:
        _print(verdict_line.spell(result, log_format, to.secrets), sys.stderr)
    return result.exit_code or 0


def _print(line: str, stream: TextIO | None) -> StepError | None:
    """Print a line; return why a disk does not have it. A reader that has gone needs none."""
    try:
        print(line, file=stream, flush=True)
    except (OSError, ValueError) as error:
        devnull = os.open(os.devnull, os.O_WRONLY)
        if stream is not None:
            os.dup2(devnull, stream.fileno())  # or Python complains of the rest at its exit
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            return os_errors.explain("cannot write to stdout", error)
    return None
