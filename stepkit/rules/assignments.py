"""Find the top-level assignments of a cell and change their values in its source."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepkit.notebook import python_source
from stepkit.rules.literals import UNPARSABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.notebook.python_source import Parsed


@dataclass(frozen=True)
class Assignment:
    """A name, where its value is in the cell's source, and ``also`` the value's other names."""

    name: str
    begin: int
    end: int
    also: tuple[str, ...] = ()


def find(parsed: Parsed, name: str | None = None) -> list[Assignment]:
    """Return the top-level assignments of ``name``, or of every name, in order."""
    found = []
    for statement in parsed.tree.body:
        for target, value, also in _values(statement):
            if name in {None, target}:
                found.append(Assignment(target, *parsed.span(value), also))
    return found


def find_other_binding(parsed: Parsed, name: str) -> str:
    """Return how else the cell binds ``name``, with the line, or ``""``."""
    settable = {
        id(statement)
        for statement in parsed.tree.body
        if any(target == name for target, _, _ in _values(statement))
    }
    for node in ast.walk(parsed.tree):
        if isinstance(node, ast.AugAssign) and _is(node.target, name):
            return f"line {node.lineno} only adds to it"
        if isinstance(node, ast.Assign | ast.AnnAssign) and _binds(node, name):
            if id(node) in settable:
                continue
            if node in parsed.tree.body:
                return f"line {node.lineno} assigns it as one of several, without a separate value"
            return f"line {node.lineno} assigns it inside another statement, not at the top level"
    return ""


def set_value(source: str, name: str, value: str) -> str:
    """Return the cell with ``value`` as the source of each top-level assignment of ``name``.

    Nothing but the old values' characters changes. Raises :class:`ValueError` when the new source
    means something else, as after a value that holds a comment.
    """
    before = python_source.parse(source)
    if before is None:
        return source
    text = source
    for place in reversed(find(before, name)):
        text = text[: place.begin] + value + text[place.end :]
    after = python_source.parse(text)
    wanted = ast.parse(value, mode="eval").body
    if after is None or _flat(after.tree) != _flat(_assign(before.tree, name, wanted)):
        raise ValueError(f"{value!r} does not fit into its line")
    return text


def is_same(old: str, new: str) -> bool:
    """Return whether two expressions are the same except for spaces, quotes and comments."""
    if old == new:
        return True
    try:
        return _flat(ast.parse(f"({old}\n)")) == _flat(ast.parse(f"({new}\n)"))
    except UNPARSABLE:  # as !ls is
        return False


def _flat(tree: ast.Module) -> list[Any]:
    """List a tree without positions; ast.dump would run out of stack on a long sum."""

    def shape(value: Any) -> Any:
        if isinstance(value, list):
            return [shape(item) for item in value]
        return type(value) if isinstance(value, ast.AST) else repr(value)

    return [
        (type(node), [shape(value) for _, value in ast.iter_fields(node)])
        for node in ast.walk(tree)
    ]


def _assign(tree: ast.Module, name: str, value: ast.expr) -> ast.Module:
    """Assign ``value`` to ``name`` in ``tree``, which is changed."""
    for statement in tree.body:
        for target, old, _ in list(_values(statement)):
            if target != name:
                continue
            assert isinstance(statement, ast.Assign | ast.AnnAssign)
            if statement.value is old:
                statement.value = value
            else:
                assert isinstance(statement.value, ast.Tuple | ast.List)
                elements = statement.value.elts
                elements[next(i for i, node in enumerate(elements) if node is old)] = value
    return tree


def _values(statement: ast.stmt) -> Iterator[tuple[str, ast.expr, tuple[str, ...]]]:
    """Yield each name that gets a separate value, that value, and the other names of the value.

    ``a, b = 1, 2`` gives ``a`` the value 1 and ``b`` the value 2; in ``a, b = f()``, neither has
    a separate value.
    """
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        if statement.value:
            yield statement.target.id, statement.value, ()
        return
    if not isinstance(statement, ast.Assign):
        return
    targets = statement.targets
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    for name in dict.fromkeys(names):
        also = tuple(ast.unparse(t) for t in targets if not _is(t, name))
        yield name, statement.value, also
    if len(targets) > 1 or not isinstance(targets[0], ast.Tuple | ast.List):
        return
    if not isinstance(statement.value, ast.Tuple | ast.List):
        return
    left, right = targets[0].elts, statement.value.elts
    starred = any(isinstance(node, ast.Starred) for node in (*left, *right))
    if len(left) == len(right) and not starred:
        for target, value in zip(left, right, strict=True):
            if isinstance(target, ast.Name):
                yield target.id, value, ()


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _binds(node: ast.Assign | ast.AnnAssign, name: str) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(
        isinstance(part, ast.Name) and part.id == name and isinstance(part.ctx, ast.Store)
        for target in targets
        for part in ast.walk(target)
    )
