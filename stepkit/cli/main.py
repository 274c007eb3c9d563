"""The command line: one sub-command for each step."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import stepkit
from stepkit.cli import (
    cache_dirs,
    flags,
    log,
    run_step,
    tekton_results,
    version_info,
    write_conflicts,
)
from stepkit.cli.secret_variables import SECRET_VARIABLES
from stepkit.errors import STOPPING, Cancelled, StepError
from stepkit.formats import did_you_mean
from stepkit.options import Declared, declared
from stepkit.redaction import redact
from stepkit.steps import MODULES, Registry
from stepkit.system import parent_death, signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import FrameType

    from _typeshed import DataclassInstance

    from stepkit.step import Step, StepResult

COMMANDS: Mapping[str, Step] = Registry({**MODULES, "run-local": "stepkit.cli.commands.run_local"})

_EPILOG = """\
exit codes:
  0    done
  1    a bug in stepkit; the traceback says where
  2    the options, or what they point at, are wrong
  3    the notebook or a test failed, or a check found a defect
  4    a tool, the network or the machine gave up: a second try may help
  129  stopped by SIGHUP, a closed terminal; what was done so far is saved
  130  stopped by Ctrl-C (SIGINT); what was done so far is saved
  143  stopped by SIGTERM; what was done so far is saved

An empty value (--flag=) means "not given". `stepkit COMMAND --help` explains one command.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one step and return its exit code."""
    parent_death.end_with_parent(os.environ)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a path may be no text
    given = sys.argv[1:] if argv is None else argv
    if sorted(given) == ["--json", "--version"]:
        _print(json.dumps(version_info.facts(os.environ)), sys.stdout)
        return 0
    named = given[0] if given and given[0] in COMMANDS else None
    brief = given[:1] in (["--help"], ["-h"], ["--version"])
    args = build_parser(named, brief=brief).parse_args(given)
    cache_dirs.provide(os.environ)
    step = COMMANDS[args.step]
    secrets = _take_secrets(step)
    log.configure(args.log_format, secrets.values())
    try:
        chosen = flags.collect(step.Options, args, {**os.environ, **secrets})
    except ValueError as error:
        return _fail(args, str(error), 2)
    with _signals_as_exceptions():
        try:
            return _run(args, step, chosen, tuple(secrets.values()))
        except KeyboardInterrupt as stop:  # it came before the step began
            result = tekton_results.stopped(args.step, chosen, stop)
            return _hand_over(args, result, tuple(secrets.values()))


def _run(
    args: argparse.Namespace, step: Step, chosen: DataclassInstance, secrets: tuple[str, ...]
) -> int:
    unfinished = tekton_results.unfinished(args.step, chosen)
    try:
        write_conflicts.check(chosen, _written_by_the_edge(args))
        tekton_results.announce(unfinished, args.results, args.report, secrets)
        result = tekton_results.complete(run_step.execute(args.step, step, chosen), chosen)
    except StepError as error:  # report or results cannot be written
        return _fail(args, str(error), error.exit_code)
    except Exception as error:
        tekton_results.announce(
            tekton_results.bug(unfinished, error), args.results, args.report, secrets
        )
        raise
    return _hand_over(args, result, secrets)


def _written_by_the_edge(args: argparse.Namespace) -> list[tuple[str, Path]]:
    results_to = [(f"--result {name}", path) for name, path in args.results]
    return [*results_to, *([("--report", args.report)] if args.report else [])]


def _hand_over(args: argparse.Namespace, result: StepResult, secrets: tuple[str, ...]) -> int:
    """Write results and report; neither may hide how the step itself ended, nor may a signal."""
    for signum in STOPPING:
        signal.signal(signum, signal.SIG_IGN)
    trouble: StepError | None = None
    writers: list[Callable[[], None]] = [
        lambda: tekton_results.write_results(result, args.results, secrets)
    ]
    if args.report:
        writers.append(lambda: tekton_results.write_report(result, args.report, secrets))
    for write in writers:
        try:
            write()
        except StepError as error:
            trouble = error
            logging.getLogger(__name__).error("%s", error)  # noqa: TRY400 - no bug of ours
    exit_code = result.exit_code or 0
    for name, value in result.outputs.items():
        if (
            name in tekton_results.output_names(COMMANDS[args.step])
            and name not in tekton_results.COMMON_OUTPUTS
        ):
            _print(f"{name}={redact(tekton_results.as_text(value), secrets)}", sys.stdout)
    if exit_code:
        message = f"{result.message} [{result.reason}]"
        return _fail(args, redact(message, secrets), exit_code)
    verdict = f"{result.status} in {result.seconds:.1f} s: {redact(result.message, secrets)}"
    _say(args, logging.INFO, verdict.rstrip(": "))
    return trouble.exit_code if trouble else 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, and where the help is."""
        self.exit(2, f"{self.prog}: error: {message}; see {self.prog} --help\n")

    def parse_args(self, args: Any = None, namespace: Any = None) -> argparse.Namespace:  # type: ignore[override]
        """Parse, and name the flag or command that an unknown one may have meant."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            flag = unknown[0].partition("=")[0]
            command: argparse.ArgumentParser = getattr(parsed, "parser", self)
            known = list(command._option_string_actions)  # noqa: SLF001 - argparse lists them nowhere else
            near = did_you_mean.nearest(flag, known)
            command.error(f"unknown option {flag}{f': did you mean {near}?' if near else ''}")
        assert isinstance(parsed, argparse.Namespace)
        return parsed

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            near = did_you_mean.nearest(value, action.choices)
            hint = f"did you mean {near}?" if near else ", ".join(action.choices)
            self.error(f"unknown command {value!r}: {hint}")


def build_parser(only: str | None = None, *, brief: bool = False) -> argparse.ArgumentParser:
    """Make a sub-command for every registered step, or for ``only`` one: that starts at once.

    Those of a ``brief`` parser have no flags: it is there to list them.
    """
    parser = _Parser(
        prog="stepkit",
        description=stepkit.__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"stepkit {stepkit.__version__}",
        help="print the version; with --json, also the commit and the base image",
    )
    commands = parser.add_subparsers(
        dest="step", required=True, metavar="COMMAND", title="commands"
    )
    for name in [only] if only else COMMANDS:
        if brief and isinstance(COMMANDS, Registry):
            commands.add_parser(name, help=COMMANDS.summary(name))
            continue
        step = COMMANDS[name]
        text = step.__doc__ or ""
        command = commands.add_parser(
            name,
            help=text.partition("\n")[0],
            description=text,
            epilog=_epilog(step),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.set_defaults(parser=command)
        flags.add_flags(command, step.Options)
        _add_common_flags(command, step)
    return parser


def _add_common_flags(command: argparse.ArgumentParser, step: Step) -> None:
    common = command.add_argument_group("every command takes")
    common.add_argument(
        "--result",
        action="append",
        default=[],
        dest="results",
        metavar="NAME=FILE",
        type=_result_of(step),
        help="write one output to a file, as Tekton wants it (repeatable)",
    )
    common.add_argument(
        "--report", type=_path_or_none, metavar="FILE", help="write a JSON report of the step"
    )
    common.add_argument(
        "--log-format",
        choices=log.FORMATS,
        default="auto",
        help="how the log on stderr looks (default: auto, ci on GitHub and Tekton, else plain)",
    )


def _path_or_none(text: str) -> Path | None:
    return Path(text) if text else None


def _epilog(step: Step) -> str:
    described = {o.field.name.replace("_", "-"): o for o in declared(step.Outputs)}
    lines = ["outputs (for --result, and on stdout):"]
    for name in tekton_results.output_names(step):
        text = described[name].help if name in described else _COMMON_HELP[name]
        lines.append(f"  {name:<20} {text}")
    return "\n".join([*lines, *_environment(step)])


_COMMON_HELP = {
    "status": "succeeded, tolerated, failed or cancelled",
    "reason": "why, in one word",
    "message": "why, in one sentence",
}


def _environment(step: Step) -> list[str]:
    secret: list[Declared] = [o for o in declared(step.Options) if o.secret]
    if not secret:
        return []
    lines = [f"  {o.secret.variable:<20} {o.help}" for o in secret if o.secret]
    return ["", "environment (secrets have no flag):", *lines]


def _result_of(step: Step) -> Callable[[str], tuple[str, Path]]:
    names = tekton_results.output_names(step)

    def parse(text: str) -> tuple[str, Path]:
        name, _, path = text.partition("=")
        if name not in names or not path:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not NAME=FILE with NAME one of {', '.join(names)}"
            )
        return name, Path(path)

    return parse


def _take_secrets(step: Step) -> dict[str, str]:
    """Move the secrets of every step out of the environment: no child inherits one."""
    own = flags.secrets(step.Options, os.environ)
    for variable in SECRET_VARIABLES | own.keys():
        os.environ.pop(variable, None)
    return own


@contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into :class:`Cancelled`, as Python does with SIGINT.

    A second one changes nothing: saving has begun, and Kubernetes follows with SIGKILL.
    """

    def stop(signum: int, _: FrameType | None) -> None:
        for taken in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(taken, signal.SIG_IGN)
        raise Cancelled(signum)

    with signals.handle(stop, signal.SIGTERM, signal.SIGHUP):
        yield


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
