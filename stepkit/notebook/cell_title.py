"""The line of a cell by which a person recognises it, in messages, logs, reports and pages."""

from __future__ import annotations

import ast
import re
from typing import Final

from stepkit.formats.shorten import shorten
from stepkit.notebook import python_source

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
_HEADED: Final = (ast.For, ast.AsyncFor, ast.While, ast.If, ast.With, ast.AsyncWith, ast.Try,
                  ast.TryStar, ast.Match)  # fmt: skip
_PREAMBLE: Final = re.compile(r"(#|%|@|import\s|from\s+\S+\s+import\s)")


def title(source: str, line: int | None = None) -> str:
    """Return the telling line of a cell, shortened.

    It is the line with the number ``line``, from 1, which is the one that failed. Without it, the
    last statement that is neither an import nor a definition; in another language, the first line
    that is not a comment, an import, a magic or a decorator.
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
    """Return the last statement of Python that does something, of a compound one its head."""
    parsed = python_source.parse(source)
    body = parsed.tree.body if parsed else []
    node = next((node for node in reversed(body) if not isinstance(node, _DEFINES)), None)
    if not parsed or not node:
        return ""
    begin, end = parsed.span(node)
    statement = source[source.rfind("\n", 0, begin) + 1 : end]  # and what is before it in its line
    return statement.partition("\n")[0] if isinstance(node, _HEADED) else statement
