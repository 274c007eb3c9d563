"""Make the scripts that complete stepkit's command lines in bash, zsh and fish."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args, get_origin

import shtab

from stepkit.cli import commands, flags
from stepkit.cli.parser import build_parser
from stepkit.errors import Reason
from stepkit.options import READS, WRITES, declared

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from stepkit.step import Step

SHELLS: Final = ("bash", "zsh", "fish")


def texts() -> dict[str, str]:
    """Return the script of each shell."""
    parser = build_parser(complete=_complete)
    found = {shell: shtab.complete(parser, shell) for shell in SHELLS}
    # NOTEBOOK and OUTPUT have no place of their own among the arguments: complete files there.
    found["bash"] = found["bash"].replace("-o bashdefault -F", "-o bashdefault -o default -F")
    return {shell: text.rstrip("\n") + "\n" for shell, text in found.items()}


def _complete(step: Step, arguments: Mapping[str, argparse.Action]) -> None:
    """Say which words, or which files, may follow a flag."""
    named: dict[str, tuple[str, ...]] = {}
    if step is commands.COMMANDS["config"]:
        named = {"command": tuple(commands.COMMANDS)}
    if step is commands.COMMANDS["explain"]:
        named = {"reason": tuple(Reason)}
    for option in declared(step.Options):
        if option.secret:
            continue
        argument = arguments[option.field.name]
        hint = get_args(option.hint)[0] if get_origin(option.hint) is tuple else option.hint
        if hint is bool:
            argument.choices = ("true", "false")
        elif choices := flags.choices_of(hint):
            argument.choices = choices
        elif words := named.get(option.field.name):
            argument.choices = words
        elif Path in {hint, *get_args(hint)} or READS in option.notes or WRITES in option.notes:
            argument.complete = shtab.FILE  # type: ignore[attr-defined]
