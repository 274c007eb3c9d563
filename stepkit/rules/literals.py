"""Turn values of a rules file into Python source."""

from __future__ import annotations

import ast
import math
import warnings
from typing import Any

UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)  # ast.parse raises these


def to_literal(value: Any) -> str:
    """Return Python source of a value of text, numbers, booleans, None, lists and mappings."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    if isinstance(value, list):
        return f"[{', '.join(map(to_literal, value))}]"
    if isinstance(value, dict):
        items = (f"{to_literal(key)}: {to_literal(item)}" for key, item in value.items())
        return f"{{{', '.join(items)}}}"
    return repr(value)


def check_expression(text: str) -> str:
    """Return the source of the expression ``text``, in brackets where an assignment needs them.

    Raises :class:`ValueError` that says why ``text`` is not an expression.
    """
    source = text.strip()
    try:
        with warnings.catch_warnings(action="ignore"):
            parsed = ast.parse(source, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"{source!r} is not a Python expression: {error.msg}") from error
    except UNPARSABLE as error:
        raise ValueError(f"{source!r} is not a Python expression: {error}") from error
    if isinstance(parsed, ast.Tuple | ast.Yield | ast.YieldFrom):
        return f"({source})"
    return source
