"""The line of a cell by which a person recognises it, in messages, logs, reports and pages."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from stepkit.formats.shorten import shorten
from stepkit.notebook import python_source

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_TITLE: Final = 80  # characters
_MOST_PARSED: Final = 100_000  # characters of a cell; a longer one is data

_DEFINES: Final = (
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Pass,
)
_HEADED: Final = (ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Match)
# Methods that show or end what was made before: plt.show(), plt.tight_layout(), file.close().
_ENDING: Final = {"show", "draw", "tight_layout", "close", "clf", "cla", "flush"}
_PREAMBLE: Final = re.compile(r"(#|%|@|import\s|from\s+\S+\s+import\s)")


def title(source: str, line: int | None = None) -> str:
    """Return the telling line of a cell, shortened.

    It is the line with the number ``line``, from 1, which is the one that failed. Without it, the
    last statement that does something: no import or definition, no value that is only shown, as
    ``table.T`` and ``table.groupby("a").mean()``, nothing like ``plt.show()``. In another language,
    it is the first line that is not a comment, an import, a magic or a decorator.
    """
    lines = source.split("\n")
    failed = lines[line - 1] if line and line <= len(lines) else ""
    return shorten(re.sub(r"\s+", " ", (failed.strip() or _telling(source)).strip()), MOST_TITLE)


def _telling(source: str) -> str:
    if len(source) <= _MOST_PARSED and (statement := _last_statement(source)):
        return statement
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    code = (line for line in lines if not _PREAMBLE.match(line))
    return next(code, lines[0] if lines else "")


def _last_statement(source: str) -> str:
    """Return the last statement of Python that does something, of a loop its head.

    Of ``if`` and ``try`` it is the head and what is done there: ``if present: load(path)``.
    """
    parsed = python_source.parse(source)
    node = _last_that_does_something(parsed.tree.body) if parsed else None
    parts = []
    while parsed and node:
        begin, end = parsed.span(node)
        if isinstance(node, ast.If) and node.body[0].lineno != node.lineno:
            parts.append(source[begin : source.index(":", parsed.span(node.test)[1]) + 1])
        elif isinstance(node, ast.Try | ast.TryStar):
            parts.append("try:")
        else:
            statement = source[source.rfind("\n", 0, begin) + 1 : end]  # with what is before it
            parts.append(statement.partition("\n")[0] if isinstance(node, _HEADED) else statement)
            break
        node = _last_that_does_something(node.body) or node.body[-1]
    return " ".join(part.strip() for part in parts)


def _last_that_does_something(body: Sequence[ast.stmt]) -> ast.stmt | None:
    """Return the last telling statement of ``body``, one that ends or shows if it has no other."""
    working = [node for node in reversed(body) if not isinstance(node, _DEFINES)]
    telling = (node for node in working if not _only_shows(node))
    return next(telling, working[0] if working else None)


def _only_shows(node: ast.stmt) -> bool:
    if not isinstance(node, ast.Expr):
        return False
    if not isinstance(call := node.value, ast.Call):
        return isinstance(call, ast.Name | ast.Constant | ast.Attribute | ast.Subscript)
    if not isinstance(call.func, ast.Attribute):
        return False
    chained = any(isinstance(part, ast.Call) for part in ast.walk(call.func.value))
    return chained or call.func.attr in _ENDING
