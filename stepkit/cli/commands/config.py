"""Show the value of each option where the command line gives none, and where it comes from.

A variable STEPKIT_OPT_<FLAG> wins over stepkit.yaml, and both win over an option's default. Without
COMMAND it checks all of stepkit.yaml, and shows what differs from the defaults.

For example:

    stepkit config
    stepkit config execute-notebook
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from stepkit.errors import ConfigurationError
from stepkit.formats.did_you_mean import did_you_mean
from stepkit.options import POSITIONAL, PRINTED, DefaultFromEnv, declared


@dataclass(frozen=True, kw_only=True)
class Options:
    """Whose options to show."""

    command: Annotated[str | None, "command whose options to show, all of them", POSITIONAL] = None


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The values."""

    text: Annotated[str, "a line for each option: its value and where it comes from", PRINTED]


def run(options: Options) -> Outputs:
    """Return the values of one command's options, or all that differ from the defaults."""
    from stepkit.cli import commands, config_file

    name = options.command
    if name and name not in commands.COMMANDS:
        raise ConfigurationError(f"unknown command {name!r}{did_you_mean(name, commands.COMMANDS)}")
    path = config_file.find(Path())
    lines = [str(path.absolute().resolve()) if path else f"no {config_file.NAME} here or above"]
    if name:
        lines += _of_command(name, every=True)
    else:
        for each in commands.COMMANDS:
            if found := _of_command(each, every=False):
                lines += ["", each, *found]
    if path:
        config = config_file.read(path)
        for notebook in config.parameters if name in {None, "execute-notebook"} else ():
            where = config.document.place(("parameters", notebook))
            shown = ", ".join(f"{k}={v!r}" for k, v in config.parameters[notebook].items())
            lines += ["", f"parameters of {notebook}: {shown} ({where})"]
    return Outputs(text="\n".join(lines))


def _of_command(name: str, *, every: bool) -> list[str]:
    """Return a line for each option of a command, or for each that does not have its default."""
    from stepkit.cli import commands, option_defaults

    found = option_defaults.of_command(name, os.environ).options
    rows = []
    for option in declared(commands.COMMANDS[name].Options):
        if option.secret or POSITIONAL in option.notes:
            continue
        given = found.get(option.field.name)
        if given:
            rows.append((option.shown, _spelled(given.value), given.source))
        elif every:
            ci = next(
                (n for n in option.notes if isinstance(n, DefaultFromEnv) and n.find(os.environ)),
                None,
            )
            if ci:
                rows.append((option.shown, ci.find(os.environ), f"${ci.variable}"))
            elif option.required:
                rows.append((option.shown, "", "required"))
            else:
                rows.append((option.shown, _spelled(option.field.default), "default"))
    width = max((len(flag) for flag, *_ in rows), default=0)
    column = min(max((len(value) for _, value, _ in rows), default=0), 30)
    return [f"  {flag:<{width}}  {value:<{column}}  {source}" for flag, value, source in rows]


def _spelled(value: Any) -> str:
    """Spell a value as the command line takes it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return shlex.join(str(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
