"""Parse a cell as IPython reads it: Python, with magics, shell lines and ``name?`` between.

Those lines are masked before the cell is parsed: an expression of the same length takes their
place, so that every position in the syntax tree is a position in the cell. The masked text is
never written to a notebook.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from typing import Final

# Cell magics that run the rest of the cell in the notebook's own namespace.
_PYTHON_MAGICS: Final = {
    "capture",
    "cudf.pandas.line_profile",
    "cudf.pandas.profile",
    "cuml.accel.line_profile",
    "cuml.accel.profile",
    "debug",
    "prun",
    "scalene",
    "snakeviz",
    "time",
}
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")  # the line ends that Python's tokenizer knows
_COMMAND = re.compile(r"([ \t\f]*)([%!?/,;].*)", re.DOTALL)  # no statement of Python begins so
_CAPTURE = re.compile(r"([\w.,:*\[\] \t\f]+=\s*)([%!].*)", re.DOTALL)  # files = !ls
_BRACKETS: Final = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
_QUOTES: Final = ('"""', "'''", '"', "'")


@dataclass(frozen=True)
class Parsed:
    """A cell's syntax tree, and the text as it was parsed: as long as the cell, line by line."""

    tree: ast.Module
    text: str

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Return where the source of ``node`` begins and ends in the cell."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        begin = self._offset(node.lineno, node.col_offset)
        return begin, self._offset(node.end_lineno, node.end_col_offset)

    def _offset(self, line: int, column: int) -> int:
        """Return the index of a line (from 1) and a column, which ast counts in bytes."""
        lines = _LINE.findall(self.text)
        before = sum(len(text) for text in lines[: line - 1])
        return before + len(lines[line - 1].encode()[:column].decode())


def parse(source: str) -> Parsed | None:
    """Parse a cell; return None if it is not Python, or does not run in the notebook's namespace.

    A cell under ``%%bash`` is not Python, and one under ``%%timeit`` has its own namespace.
    """
    magic = re.match(r"\s*%%([\w.]*)", source)
    if magic and magic[1] not in _PYTHON_MAGICS:
        return None
    for text in (source, mask(source)):
        try:
            with warnings.catch_warnings(action="ignore"):
                return Parsed(_parse_indented(text), text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def is_readable(source: str) -> bool:
    """Return False if ``source`` is meant to be Python and has a syntax error."""
    return source.lstrip().startswith("%%") or parse(source) is not None


def _parse_indented(text: str) -> ast.Module:
    """Parse Python in which all lines may have one indent, which IPython removes."""
    try:
        return ast.parse(text)
    except IndentationError:
        block, *rest = ast.parse("if 1:\n" + text).body
        if rest or not isinstance(block, ast.If) or block.orelse:
            raise
    for node in ast.walk(block):
        if isinstance(node, ast.stmt | ast.expr):
            node.lineno -= 1
            node.end_lineno = (node.end_lineno or 0) - 1
    return ast.Module(block.body, [])


def mask(source: str) -> str:
    """Return ``source`` with an expression of the same length where a line is not Python.

    Brackets, quotes and backslashes join lines to one statement.
    """
    masked, statement, scan, foreign = "", "", _Scan(), False
    for line in _LINE.findall(source):
        if not statement:
            scan, foreign = _Scan(), bool(_COMMAND.match(line) or _CAPTURE.match(line))
        goes_on = _ends_in_backslash(line) if foreign else scan.goes_on(line)
        statement += line
        if not goes_on:
            masked += _mask_statement(statement)
            statement = ""
    return masked + _mask_statement(statement)


def _ends_in_backslash(line: str) -> bool:
    return line.rstrip("\r\n").endswith("\\")


class _Scan:
    """Find out line by line whether a statement of Python goes on in the next line."""

    def __init__(self) -> None:
        self.depth = 0
        self.quote = ""

    def goes_on(self, line: str) -> bool:
        """Read the statement's next line; return whether the statement goes on after it."""
        at = 0
        while at < len(line) and (self.quote or line[at] != "#"):
            at = self._step(line, at)
        joined = at >= len(line) and _ends_in_backslash(line)  # not by the backslash of a comment
        if len(self.quote) == 1 and not joined:
            self.quote = ""  # the quote was left open: a syntax error in Python, too
        return bool(self.quote) or self.depth > 0 or joined

    def _step(self, line: str, at: int) -> int:
        if self.quote:
            if line[at] == "\\":
                return at + 2
            if not line.startswith(self.quote, at):
                return at + 1
            closed, self.quote = self.quote, ""
            return at + len(closed)
        for quote in _QUOTES:
            if line.startswith(quote, at):
                self.quote = quote
                return at + len(quote)
        self.depth = max(0, self.depth + _BRACKETS.get(line[at], 0))
        return at + 1


def _mask_statement(statement: str) -> str:
    foreign = _COMMAND.fullmatch(statement) or _CAPTURE.fullmatch(statement)
    if foreign:
        return foreign[1] + _stand_in(foreign[2])
    if statement.rstrip().endswith("?") and "#" not in statement:
        bare = statement.lstrip(" \t\f")
        return statement[: len(statement) - len(bare)] + _stand_in(bare)
    return statement


def _stand_in(text: str) -> str:
    """Return an expression as long as ``text``: an empty list, or 0 where there is no room."""
    body = text.rstrip("\r\n")
    inner = re.sub(r"[^\r\n]", " ", body[1:-1])
    return (f"[{inner}]" if len(body) > 1 else "0") + text[len(body) :]
