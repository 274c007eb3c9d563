"""Name the command or the option that a wrong word may have meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.cli import commands, flags, other_tools
from stepkit.formats import did_you_mean
from stepkit.options import declared
from stepkit.step import kebab

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

COMMON_FLAGS: Final = (
    "--help", "--result", "--report", "--json", "--no-config", "--no-rerun", "--log-format",
    "--quiet", "--verbose", "--log-level",
)  # fmt: skip
_SIMILAR: Final = 0.7  # the dashes before each flag are alike, too
_ALIKE: Final = 0.85  # the likeness of a word to itself with a wrong, a missing or another letter


def command(name: str) -> str:
    """Return what is wrong with ``name``, which is not a command."""
    near = did_you_mean.nearest(name, commands.COMMANDS)
    hint = f"did you mean {near}?" if near else f"known commands: {', '.join(commands.COMMANDS)}"
    return f"unknown command {name!r}: {hint}"


def before_command(words: Sequence[str]) -> str:
    """Return what is wrong with the first of ``words``, a flag that stands before a command."""
    flag = words[0].partition("=")[0]
    if flag in {*COMMON_FLAGS, "-q", "-v"}:
        name = next((word for word in words if word in commands.COMMANDS), "COMMAND")
        return f"{flag} stands before the command: write stepkit {name} {flag}"
    near = did_you_mean.nearest(flag, ["--help", "--version"])
    return f"unknown option {flag}{f': did you mean {near}?' if near else ''}"


def option(flag: str, name: str) -> str:
    """Return what is wrong with ``flag``, which the command ``name`` does not have."""
    options = commands.COMMANDS[name].Options
    if known_elsewhere := other_tools.equivalent(flag, name):
        return f"unknown option {flag}: {known_elsewhere}"
    for each in declared(options):
        if each.secret and flag == "--" + kebab(each.field.name):
            return f"unknown option {flag}: a secret has no flag, set {each.secret.variable}"
    helps = {"--" + kebab(each.field.name): each.help for each in declared(options)}
    known = _known_flags(name)
    near = did_you_mean.nearest(flag, known, _ALIKE) or _by_words(flag, known, helps)
    near = near or did_you_mean.nearest(flag, known, _SIMILAR)
    return f"unknown option {flag}{f': did you mean {near}?' if near else ''}"


def first_unknown(words: Sequence[str], name: str) -> str:
    """Return the first long flag in ``words`` that the command does not have, or ``""``."""
    known = _known_flags(name)
    end = words.index("--") if "--" in words else len(words)
    given = (word.partition("=")[0] for word in words[:end] if word.startswith("--"))
    return next((flag for flag in given if flag not in known), "")


def _known_flags(name: str) -> list[str]:
    command = commands.COMMANDS[name]
    resume = ["--resume"] if hasattr(command.Outputs, "resumable") else []
    return [*flags.spellings(command.Options), *COMMON_FLAGS, *resume]


def _by_words(flag: str, known: Iterable[str], helps: Mapping[str, str]) -> str:
    """Return the option that shares a word with ``flag``, and has the rest in name or help."""
    wanted = set(flag.strip("-").split("-"))
    for each in known:
        words = set(each.strip("-").split("-"))
        described = words | set(helps.get(each, "").replace(",", " ").replace(";", " ").split())
        if wanted & words and wanted <= described:
            return each
    return ""
