"""Cells that do nothing but shut their own kernel down.

Notebooks written for a person end so, to free the GPU. Run unattended, older kernels die of it in
the middle of the run, and none needs it: the kernel is ended with the run.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final, Literal

from stepkit.notebook import python_source

if TYPE_CHECKING:
    from collections.abc import Sequence

RULE: Final = "strip-kernel-shutdown"

_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_HINT: Final = re.compile(r"do_shutdown|_exit")  # spares parsing all the other cells


def found(source: str) -> Literal["alone", "among others", ""]:
    """Tell whether a cell shuts the kernel down, and whether it does anything else.

    What belongs to a shutdown: imports, a name for the application or the kernel, a pause, and
    a printed text. ``sys.exit``, ``exit()``, an exit code other than 0 and a signal are no
    shutdown: they say how the notebook ends.
    """
    parsed = python_source.parse(source) if _HINT.search(source) else None
    try:
        return _judged(parsed.tree.body, masked=parsed.text != source) if parsed else ""
    except RecursionError:  # a cell with a sum of a thousand terms does more than shut down
        return ""


def _judged(body: Sequence[ast.stmt], *, masked: bool) -> Literal["alone", "among others", ""]:
    if not any(map(_shuts_down, body)):
        return ""
    # A magic or a shell line, which is masked, is something else, too.
    only = not masked and all(_is_call(part) or _belongs(part) for part in body)
    return "alone" if only else "among others"


def _is_call(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and _is_shutdown(statement.value)


def _shuts_down(node: ast.AST) -> bool:
    """Tell whether running ``node`` would shut down: what it only defines does not count."""
    if isinstance(node, _DEFINITIONS):
        return False
    return _is_shutdown(node) or any(map(_shuts_down, ast.iter_child_nodes(node)))


def _is_shutdown(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = ast.unparse(node.func)
    arguments = [ast.unparse(argument) for argument in node.args]
    if called == "os._exit":
        return arguments == ["0"]
    if called.rpartition(".")[2] != "do_shutdown":
        return False
    values = [*node.args, *(keyword.value for keyword in node.keywords)]
    return all(isinstance(value, ast.Constant) for value in values)


def _belongs(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Import | ast.ImportFrom | ast.Pass):
        return True
    if isinstance(statement, ast.Assign):
        return _is_kernel(statement.value) and isinstance(statement.targets[0], ast.Name)
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    if isinstance(value, ast.Call):
        called = ast.unparse(value.func)
        constant = all(isinstance(argument, ast.Constant) for argument in value.args)
        return constant and called in {"print", "sleep", "time.sleep"}
    return isinstance(value, ast.Constant)


def _is_kernel(value: ast.expr) -> bool:
    """Tell whether ``value`` is the running application or its kernel."""
    text = ast.unparse(value)
    return bool(
        re.fullmatch(r"([\w.]*Application\.instance\(\)|get_ipython\(\)|app)(\.kernel)?", text)
    )
