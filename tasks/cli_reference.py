"""Make the lists of commands and options in docs/cli.md and mkdocs.yml, as --help has them."""

from __future__ import annotations

import argparse
import re
import textwrap
from typing import TYPE_CHECKING, Any, cast

from stepkit.cli import commands, flags, short_help
from stepkit.cli.parser import add_common_flags
from stepkit.options import declared
from stepkit.step import kebab
from stepkit.steps import MODULES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class _Recorder:
    """Takes the place of a parser, and notes what is added to it, by the heading in the help."""

    def __init__(self) -> None:
        self.items: dict[str, list[str]] = {"": []}

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        """Note how the argument is written, and its help."""
        action = argparse.ArgumentParser(add_help=False).add_argument(*names, **settings)
        value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else "")
        value = " ".join(value) if isinstance(value, tuple) else value
        written = ", ".join(action.option_strings) or value
        if action.option_strings and action.nargs != 0:
            written += f" [{value}]" if action.nargs == "?" else f" {value}"
        written += " ..." if action.nargs in {"*", "+"} else ""
        last = [*self.items][-1]
        self.items[last].append(_item(written, (action.help or "").replace("%%", "%")))
        return action

    def set_defaults(self, **_: Any) -> None:
        """Note nothing."""

    def add_argument_group(self, title: str) -> _Recorder:
        """Note the heading; what follows belongs to it."""
        self.items.setdefault(title, [])
        return self

    def add_mutually_exclusive_group(self) -> _Recorder:
        """Note nothing."""
        return self


def overview(root: Path) -> str:
    """Return a table of the steps, and one of the other commands."""
    return _table(root, "step", MODULES) + "\n" + _table(root, "other command", commands.MODULES)


def common_options() -> str:
    """Return the options that every command takes, as a list."""
    recorder = _Recorder()
    add_common_flags(
        cast("argparse.ArgumentParser", recorder), commands.COMMANDS["execute-notebook"]
    )
    return "\n".join(line for lines in recorder.items.values() for line in lines) + "\n"


def navigation(root: Path) -> str:
    """Return the pages of the steps, and of the other commands, for mkdocs.yml."""
    return "".join(
        f"      - {title}:\n"
        + "".join(
            f"          - {name}: docs/{name}.md\n"
            for name in names
            if (root / f"docs/{name}.md").exists()
        )
        for title, names in (("Steps", MODULES), ("Other commands", commands.MODULES))
    )


def options_of_each(root: Path) -> str:
    """Return a section for each command: how it is called, its options, secrets and outputs."""
    return "\n".join(_section(root, name) for name in commands.COMMANDS)


def _table(root: Path, title: str, names: Iterable[str]) -> str:
    lines = [f"| {title} | does |", "|---|---|"]
    for name in names:
        does = commands.COMMANDS.summary(name).rstrip(".")
        lines.append(f"| [`{name}`](#{name}) | {does}{_more(root, name)} |")
    return "\n".join(lines) + "\n"


def _more(root: Path, name: str) -> str:
    return f" ([more]({name}.md))" if (root / f"docs/{name}.md").exists() else ""


def _section(root: Path, name: str) -> str:
    step = commands.COMMANDS[name]
    recorder = _Recorder()
    flags.add_flags(cast("argparse.ArgumentParser", recorder), step.Options)
    lines = [f"### {name}", "", f"{_escaped(commands.COMMANDS.summary(name))}{_more(root, name)}"]
    example = (step.__doc__ or "").partition("For example:")[2].strip("\n")
    lines += ["", "```text", short_help.usage(name), "", textwrap.dedent(example), "```", ""]
    for heading, items in recorder.items.items():
        lines += [f"{heading}:", ""] if heading else []
        lines += [*items, ""]
    secrets = [(each.secret.variable, each.help) for each in declared(step.Options) if each.secret]
    outputs = [(kebab(each.field.name), each.help) for each in declared(step.Outputs)]
    for title, named in (("Secrets, from the environment", secrets), ("Outputs", outputs)):
        lines += [f"{title}:", "", *[_item(*each) for each in named], ""] if named else []
    return "\n".join(lines)


def _item(written: str, text: str) -> str:
    return f"- `{written}`: {_escaped(text)}"


def _escaped(text: str) -> str:
    return re.sub(r"([*_`\[\]])", r"\\\1", text).replace("<", "&lt;")
