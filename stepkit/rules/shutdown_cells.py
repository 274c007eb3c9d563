"""Find the cells that only shut their own kernel down.

Notebooks written for a person often end with such a cell, to free the GPU. An unattended run does
not need it there, as the kernel ends with the run. In front of other cells it ends the run early.
"""

from __future__ import annotations

import ast
import re
from typing import Final, Literal

from stepkit.notebook import python_source

RULE: Final = "strip-kernel-shutdown"

_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_HINT: Final = re.compile(r"do_shutdown|_exit")  # so that few cells are parsed
# The running application or its kernel.
_KERNEL: Final = re.compile(r"([\w.]*Application\.instance\(\)|get_ipython\(\)|app)(\.kernel)?")


def find(source: str) -> Literal["alone", "among others", ""]:
    """Return whether a cell shuts the kernel down, alone or among other things.

    These belong to a shutdown: imports, a name for the application or the kernel, a pause, and a
    printed text. ``sys.exit``, ``exit()``, an exit code other than 0 and a signal are not a
    shutdown: they say how the notebook ends.
    """
    parsed = python_source.parse(source) if _HINT.search(source) else None
    if parsed is None:
        return ""
    body = parsed.tree.body
    try:
        if not any(map(_shuts_down, body)):
            return ""
        # A magic or a shell line, which parse() masks, does something else.
        alone = parsed.text == source and all(map(_belongs_to_shutdown, body))
    except RecursionError:  # a cell with a sum of a thousand terms does more than shut down
        return ""
    return "alone" if alone else "among others"


def _shuts_down(node: ast.AST) -> bool:
    """Return whether running ``node`` would shut down; a function that it defines does not run."""
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


def _belongs_to_shutdown(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Import | ast.ImportFrom | ast.Pass):
        return True
    if isinstance(statement, ast.Assign):
        named = isinstance(statement.targets[0], ast.Name)
        return named and bool(_KERNEL.fullmatch(ast.unparse(statement.value)))
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    if _is_shutdown(value) or isinstance(value, ast.Constant):
        return True
    if not isinstance(value, ast.Call):
        return False
    constant = all(isinstance(argument, ast.Constant) for argument in value.args)
    return constant and ast.unparse(value.func) in {"print", "sleep", "time.sleep"}
