"""What ``stepkit COMMAND -h`` prints: the options that are needed most, and an example."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

from stepkit.cli import commands, flags
from stepkit.options import OR_ARGUMENT, POSITIONAL, declared

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST: Final = 10  # options that are shown; of commands that are not named here, the first ones
NEEDED_MOST: Final = {
    "git-clone": "revision depth lfs submodules sparse_checkout_directories token_file attempts",
    "download-dataset": "manifest url sha256 path unpack auth cache attempts timeout",
    "execute-notebook": "parameters rules variant tolerate execution_timeout run_timeout gpu page",
    "execute-notebooks": "notebooks plan parameters rules jobs execution_timeout run_timeout gpu",
    "run-tests": "inputs marker installer environment_cache allow_failures pytest_args timeout",
    "collect-artifacts": "files beside checkout reports exclude expect suffix",
    "publish-artifacts": "prefix overwrite url_base index endpoint_url region attempts",
    "summarize": "run html enforce expect baseline fail_on url_base title",
    "notify": "link when attach commit_status_repository commit pending expect title",
    "clean-workspace": "runs_older_than keep_runs backups_older_than cache cache_size dry_run",
}


class ShortHelp(argparse.Action):
    """Prints the short help of the parser's command, and exits."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002
        values: str | Sequence[Any] | None,  # noqa: ARG002
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        """Print and exit, as --help does."""
        print(text(parser.prog.rpartition(" ")[2]), end="", flush=True)  # noqa: T201
        parser.exit()


def text(name: str) -> str:
    """Return the short help of a command."""
    step = commands.COMMANDS[name]
    shown, count = options(name)
    about = (step.__doc__ or "").strip().partition("\n\n")[0]
    example = (step.__doc__ or "").partition("For example:")[2].strip("\n")
    example = example.partition("\n\n")[0]
    more = (
        f"{count - len(shown)} more options" if count > len(shown) else "what every command takes"
    )
    parser = argparse.ArgumentParser(
        usage=usage(name),
        description=about,
        epilog=f"for example:\n{example}\n\n{more}: stepkit {name} --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    flags.add_flags(parser, step.Options, only=shown)
    return parser.format_help()


def usage(name: str) -> str:
    """Return how a command is called, with its arguments and without its options."""
    every = [o for o in declared(commands.COMMANDS[name].Options) if not o.secret]
    words = [o.field.name.upper() for o in every if POSITIONAL in o.notes or OR_ARGUMENT in o.notes]
    return " ".join(["stepkit", name, *(["[options]"] if every else []), *words])


def options(name: str) -> tuple[list[str], int]:
    """Return the fields of the options that the short help shows, and how many options there are.

    What a command requires is always shown.
    """
    every = [o for o in declared(commands.COMMANDS[name].Options) if not o.secret]
    most = NEEDED_MOST.get(name, "").split() or [o.field.name for o in every]
    required = [o.field.name for o in every if o.required]
    chosen = {*required, *[each for each in most if each not in required][: MOST - len(required)]}
    return [o.field.name for o in every if o.field.name in chosen], len(every)
