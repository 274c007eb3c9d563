r"""Macros that a notebook defines in its formulas, such as ``\newcommand{\R}{\mathbb{R}}``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_DEFINES: Final = re.compile(
    r"\\(?:(?:re)?newcommand|providecommand|[gx]?def|let|DeclareMathOperator|require)(?![a-zA-Z])"
)
_COMMAND: Final = re.compile(r"\\(?:([a-zA-Z]+\*?)|.)", re.DOTALL)
_PARAMETER: Final = re.compile(r"(\\[a-zA-Z]+)?#([1-9])")
_NAME: Final = re.compile(r"\s*(?:\{\s*(\\(?:[a-zA-Z]+|.))\s*\}|(\\(?:[a-zA-Z]+|.)))", re.DOTALL)
_SIMPLE: Final = re.compile(r"\{([^{}\\]*)\}")
_BRACES: Final = re.compile(r"\\.|[{}]", re.DOTALL)
_PARAMETERS: Final = re.compile(r"\s*((?:#[1-9])*)\s*(?=\{)")
_MAX_EXPANSIONS: Final = 500
_MAX_EXPANDED: Final = 10_000  # characters


class TexError(Exception):
    """A formula that cannot be set, with the reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Macro:
    parameters: int
    default: str | None  # of an optional first argument
    body: str


class Macros:
    """The macros that a page has defined so far."""

    def __init__(self) -> None:
        self._known: dict[str, _Macro] = {}

    def expand(self, tex: str) -> str:
        """Return the TeX without definitions, which are noted, and with macros replaced.

        Raises :class:`TexError` for a definition that TeX has and this lacks, and for macros
        that never end.
        """
        if not self._known and not _DEFINES.search(tex):
            return tex
        done, rest, at = "", tex, 0
        for _ in range(_MAX_EXPANSIONS):
            match = self._find(rest, at)
            if not match:
                return done + rest
            name, after = match[0], match.end()
            done += rest[: match.start()]
            if _DEFINES.fullmatch(name.rstrip("*")):
                replaced, after = "", self._define(name.rstrip("*"), rest, after)
            else:
                replaced, after = _call(self._known[name], rest, after)
            rest, at = _join(replaced, rest[after:]), 0
            if len(rest) + len(done) > _MAX_EXPANDED:
                break
        raise TexError("its macros do not end")

    def _find(self, tex: str, at: int) -> re.Match[str] | None:
        """Find the next definition or use of a macro."""
        for match in _COMMAND.finditer(tex, at):
            if match[0] in self._known or _DEFINES.fullmatch(match[0].rstrip("*")):
                return match
            if match[0].endswith("*") and (use := match[0][:-1]) in self._known:
                return re.compile(re.escape(use)).match(tex, match.start())
        return None

    def _define(self, command: str, tex: str, at: int) -> int:
        """Note the definition whose command ends at ``at``; return where the definition ends."""
        if command == r"\require":
            return read_argument(tex, at)[1]
        name = _NAME.match(tex, at)
        if not name:
            raise TexError(f"{command} has no name")
        named, at = name[1] or name[2], name.end()
        parameters, default = 0, None
        if command == r"\let":
            other = re.compile(r"\s*=?\s*(\\(?:[a-zA-Z]+|.)|.)", re.DOTALL).match(tex, at)
            if not other:
                raise TexError(f"{command} has no value")
            self._known[named] = self._known.get(
                other[1], _Macro(parameters=0, default=None, body=other[1])
            )
            return other.end()
        if command.endswith("def"):
            given = _PARAMETERS.match(tex, at)
            if not given:
                raise TexError(f"{command} with delimited parameters is not supported")
            parameters, at = len(given[1]) // 2, given.end()
        elif command != r"\DeclareMathOperator":
            count, at = _read_optional(tex, at)
            parameters = int(count) if count and count.isdigit() else 0
            default, at = _read_optional(tex, at) if parameters else (None, at)
        body, end = read_argument(tex, at)
        if command == r"\DeclareMathOperator":
            star = "*" if tex[: name.start()].endswith("*") else ""
            body = rf"\operatorname{star}{{{body}}}"
        self._known[named] = _Macro(parameters=parameters, default=default, body=body)
        return end


def read_argument(tex: str, at: int) -> tuple[str, int]:
    r"""Return the argument that begins at ``at``, without its braces, and where it ends.

    Without braces it is a command or a single character. Raises :class:`TexError` if there is
    none or its braces do not match.
    """
    while at < len(tex) and tex[at].isspace():
        at += 1
    if at >= len(tex) or tex[at] == "}":
        raise TexError("an argument is missing")
    if simple := _SIMPLE.match(tex, at):
        return simple[1], simple.end()
    if tex[at] != "{":
        command = _COMMAND.match(tex, at)
        end = (command.start() + len(command[0].rstrip("*"))) if command else at + 1
        return tex[at:end], end
    depth = 0
    for match in _BRACES.finditer(tex, at):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return tex[at + 1 : match.start()], match.end()
    raise TexError("its braces do not match")


def _read_optional(tex: str, at: int) -> tuple[str | None, int]:
    """Return the argument in brackets that begins at ``at``, or None, and where it ends."""
    found = re.compile(r"\s*\[([^\]]*)\]").match(tex, at)
    return (found[1].strip(), found.end()) if found else (None, at)


def _call(macro: _Macro, tex: str, at: int) -> tuple[str, int]:
    """Return the body of the macro with its arguments, and where these end."""
    values: list[str] = []
    if macro.default is not None:
        given, at = _read_optional(tex, at)
        values.append(macro.default if given is None else given)
    while len(values) < macro.parameters:
        value, at = read_argument(tex, at)
        values.append(value)

    def insert(match: re.Match[str]) -> str:
        number = int(match[2])
        if number > len(values):
            raise TexError("a macro has too few parameters")
        return _join(match[1] or "", values[number - 1])

    return _PARAMETER.sub(insert, macro.body), at


def _join(before: str, after: str) -> str:
    """Join two texts so that a command at the end of the first stays what it is."""
    apart = after[:1].isalpha() and re.search(r"\\[a-zA-Z]+$", before)
    return f"{before} {after}" if apart else before + after
