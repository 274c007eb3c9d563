"""The argument parser: one sub-command for each step and command, with its help."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import stepkit
from stepkit.cli import (
    commands,
    flags,
    log,
    misspelt,
    overview,
    positional_arguments,
    run_step,
    short_help,
    tekton_results,
)
from stepkit.options import OR_ARGUMENT, declared
from stepkit.step import kebab

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from stepkit.step import Step

_COMMON_HELP: Final = {
    "status": "succeeded, tolerated, failed, cancelled or reused",
    "reason": "why, in one word",
    "message": "why, in one sentence",
}


class UsageError(SystemExit):
    """The arguments are wrong: ``message`` says what, and where the help is."""

    def __init__(self, message: str) -> None:
        super().__init__(2)
        self.message = message


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")

    def parse_args(self, args: Any = None, namespace: Any = None) -> argparse.Namespace:  # type: ignore[override]
        """Parse, and name the flag or command that an unknown one may have meant."""
        words = list(args or ())
        first = words[0] if words else ""
        if first.startswith("-") and first not in {"-h", "--help", "--version"}:
            self.error(misspelt.before_command(words))
        if words and not first.startswith("-") and first not in commands.COMMANDS:
            self.error(misspelt.command(first))
        if first in commands.COMMANDS:
            words = positional_arguments.spell_out_booleans(commands.COMMANDS[first].Options, words)
        try:
            parsed, unknown = self.parse_known_args(words, namespace)
        except UsageError:
            if flag := misspelt.first_unknown(words[1:], first):  # why a required one is missing
                see = f"see {self.prog} {first} --help"
                raise UsageError(f"{misspelt.option(flag, first)}; {see}") from None
            raise
        assert isinstance(parsed, argparse.Namespace)
        end = unknown.index("--") if "--" in unknown else len(unknown)
        named = (word.partition("=")[0] for word in unknown[:end])
        if flag := next((word for word in named if word.startswith("-")), ""):
            parsed.parser.error(misspelt.option(flag, parsed.step))
        try:
            given = unknown[:end] + unknown[end + 1 :]
            positional_arguments.take(commands.COMMANDS[parsed.step].Options, parsed, given)
        except ValueError as error:
            parsed.parser.error(str(error))
        return parsed


class _FullHelp(argparse._HelpAction):  # noqa: SLF001 - completion knows it by that
    """Prints the help of a command, with what it says of the Pipeline before --help, and exits."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,  # noqa: ARG002
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        parser.print_help()
        if parser.prog.endswith(" run-local"):
            from stepkit.cli.commands import run_local

            more = run_local.more_help(namespace.pipeline, namespace.tasks)
            print(f"\n{more}", end="")  # noqa: T201
        parser.exit()


class _OfAllCommands(_Parser):
    def format_help(self) -> str:
        return overview.text()


def build_parser(
    only: str | None = None,
    *,
    brief: bool = False,
    optional: Collection[str] = (),
    complete: Callable[[Step, Mapping[str, argparse.Action]], None] | None = None,
) -> argparse.ArgumentParser:
    """Make a sub-command for every step and command, or for ``only`` one: that starts at once.

    Those of a ``brief`` parser have no flags: it is there to list them. Fields in ``optional`` are
    not required, as they have a default elsewhere. ``complete``, for completion in a shell, is
    given the arguments of each command by its fields; the listing has help of each command then.
    """
    parser = _OfAllCommands(prog="stepkit", allow_abbrev=False)
    parser.add_argument(
        "--version",
        action="version",
        version=f"stepkit {stepkit.__version__}",
    )
    listing = parser.add_subparsers(
        dest="step",
        required=True,
        metavar="COMMAND",
        prog="stepkit",
        parser_class=_Parser,
        help="command" if complete else argparse.SUPPRESS,
    )
    for name in [only] if only else commands.COMMANDS:
        if brief:
            listing.add_parser(name)
            continue
        step = commands.COMMANDS[name]
        shown: dict[str, Any] = {"help": commands.COMMANDS.summary(name)} if complete else {}
        command = listing.add_parser(
            name,
            **shown,
            usage=short_help.usage(name) if _takes_arguments_or_flags(step) else None,
            description=step.__doc__,
            epilog=_outputs_and_secrets(step),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            add_help=False,
        )
        command.add_argument(
            "-h", action=short_help.ShortHelp, nargs=0, help="show the options that are needed most"
        )
        command.add_argument("--help", action=_FullHelp, help="show all options")
        command.set_defaults(parser=command, resumed_run=None)
        added = flags.add_flags(command, step.Options, optional)
        if complete:
            complete(step, added)
        add_common_flags(command, step)
    return parser


def _takes_arguments_or_flags(step: Step) -> bool:
    """Return whether arguments may stand for flags: argparse's usage would not show them."""
    return any(OR_ARGUMENT in option.notes for option in declared(step.Options))


def add_common_flags(command: argparse.ArgumentParser, step: Step) -> None:
    """Give ``command`` the flags that every command takes."""
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
        "--report",
        type=lambda text: Path(text) if text else None,
        metavar="FILE",
        help="write a JSON report of the step; - is stdout, as with --json",
    )
    common.add_argument(
        "--json", action="store_true", help="print the report on stdout, and nothing else"
    )
    common.add_argument(
        "--no-config",
        action="store_true",
        help="take no defaults from stepkit.yaml and from variables STEPKIT_OPT_<FLAG>",
    )
    common.add_argument(
        "--no-rerun",
        nargs="?",
        const=True,
        default=False,
        metavar="true|false",
        type=flags.converter(bool),
        help="refuse to run if an earlier run of this command left its report in --report",
    )
    if hasattr(step.Outputs, "resumable"):
        common.add_argument(
            "--resume",
            dest="resumed_run",  # run-local has an option of that name
            metavar="RUN",
            help="reuse what an earlier run made, if its command, options and inputs were the "
            "same; the name of its directory beside that of this run, or a path",
        )
    common.add_argument(
        "--log-format",
        choices=log.FORMATS,
        default="auto",
        help="how the log on stderr looks (default: auto, ci on GitHub and Tekton, else plain)",
    )
    amount = common.add_mutually_exclusive_group()
    amount.add_argument(
        "--quiet", "-q", action="store_true", help="log warnings, errors and the last line alone"
    )
    own = flags.spellings(step.Options)  # git-clone has --verbose for git's commands
    amount.add_argument(
        *(flag for flag in ("--verbose", "-v") if flag not in own),
        action="store_true",
        dest="debug",
        help="log what helps to find a fault, too",
    )
    amount.add_argument(
        "--log-level",
        action=_LogLevel,
        metavar="LEVEL",
        help="the same by a name of Python's: DEBUG is --verbose, INFO the default, WARNING, ERROR "
        "and CRITICAL are --quiet",
    )


class _LogLevel(argparse.Action):
    """Sets what --quiet and --verbose set; nbconvert takes a level as a number, too."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        if not values:
            return
        text = str(values).upper()
        level = logging.getLevelNamesMapping().get(text, int(text) if text.isdecimal() else None)
        if level is None:
            known = "DEBUG, INFO, WARNING, ERROR, CRITICAL"
            parser.error(f"argument {option_string}: {values!r} is none of {known}")
        namespace.quiet, namespace.debug = level > logging.INFO, level < logging.INFO


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


def _outputs_and_secrets(step: Step) -> str:
    helps = _COMMON_HELP | {kebab(o.field.name): o.help for o in declared(step.Outputs)}
    where = "for --result" if run_step.answers(step) else "for --result, and on stdout"
    lines = [f"outputs ({where}):"]
    lines += [f"  {name:<20} {helps[name]}" for name in tekton_results.output_names(step)]
    secrets = [(o.secret.variable, o.help) for o in declared(step.Options) if o.secret]
    if secrets:
        lines += ["", "environment (secrets have no flag):"]
        lines += [f"  {variable:<20} {text}" for variable, text in secrets]
    return "\n".join(lines)
