"""Top-level assignments of a cell: where their values stand, and how to change one."""

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
    """A value that stands at ``begin``:``end`` of a cell; ``also`` are other names it goes to."""

    name: str
    begin: int
    end: int
    also: tuple[str, ...] = ()


def find(parsed: Parsed, name: str | None = None) -> list[Assignment]:
    """Return the top-level assignments, of ``name`` or of every name, in order."""
    found = []
    for statement in parsed.tree.body:
        for target, value, also in _given(statement):
            if name in {None, target}:
                found.append(Assignment(target, *parsed.span(value), also))
    return found


def near(parsed: Parsed, name: str) -> str:
    """Say how else the cell binds ``name``, with the line, or return ``""``."""
    settable = {id(statement) for statement in parsed.tree.body if _targets(statement, name)}
    for node in ast.walk(parsed.tree):
        if isinstance(node, ast.AugAssign) and _is(node.target, name):
            return f"line {node.lineno} only adds to it"
        if isinstance(node, ast.Assign | ast.AnnAssign) and _binds(node, name):
            if id(node) in settable:
                continue
            if node in parsed.tree.body:
                return f"line {node.lineno} assigns it as one of several, with no value of its own"
            return f"line {node.lineno} assigns it inside another statement, not at the top level"
    return ""


def put(source: str, name: str, value: str) -> str:
    """Return the cell with the source ``value`` in each top-level assignment of ``name``.

    Only the values' own characters change. Raises :class:`ValueError` when the cell would then
    read otherwise, as after a value that holds a comment.
    """
    before = python_source.parse(source)
    if before is None:
        return source
    text = source
    for place in reversed(find(before, name)):
        text = text[: place.begin] + value + text[place.end :]
    after = python_source.parse(text)
    wanted = ast.parse(value, mode="eval").body
    if after is None or _flat(after.tree) != _flat(_with(before.tree, name, wanted)):
        raise ValueError(f"{value!r} does not fit into its line")
    return text


def same(old: str, new: str) -> bool:
    """Tell whether two expressions are the same but for spaces, quotes and comments."""
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


def _with(tree: ast.Module, name: str, value: ast.expr) -> ast.Module:
    """Put ``value`` into the tree for ``name``; the tree itself is changed."""
    for statement in tree.body:
        for target, old, _ in list(_given(statement)):
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


def _given(statement: ast.stmt) -> Iterator[tuple[str, ast.expr, tuple[str, ...]]]:
    """Yield each name that the statement gives a value of its own, and who shares that value."""
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
    if len(targets) == 1 and isinstance(targets[0], ast.Tuple | ast.List):
        yield from _pairs(targets[0], statement.value)


def _pairs(
    target: ast.Tuple | ast.List, value: ast.expr
) -> Iterator[tuple[str, ast.expr, tuple[str, ...]]]:
    """Yield ``a`` with 1 and ``b`` with 2 for ``a, b = 1, 2``."""
    if not isinstance(value, ast.Tuple | ast.List) or len(value.elts) != len(target.elts):
        return
    if any(isinstance(node, ast.Starred) for node in (*target.elts, *value.elts)):
        return
    for name, own in zip(target.elts, value.elts, strict=True):
        if isinstance(name, ast.Name):
            yield name.id, own, ()


def _targets(statement: ast.stmt, name: str) -> bool:
    return any(target == name for target, _, _ in _given(statement))


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _binds(node: ast.Assign | ast.AnnAssign, name: str) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(
        isinstance(part, ast.Name) and part.id == name and isinstance(part.ctx, ast.Store)
        for target in targets
        for part in ast.walk(target)
    )
