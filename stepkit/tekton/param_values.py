"""Check the values of params against their declarations, and add the defaults."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from stepkit.tekton import substitute_variables
from stepkit.tekton.substitute_variables import Names, Unknown, type_of
from stepkit.tekton.yaml_documents import Node

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stepkit.errors import ConfigurationError
    from stepkit.tekton.objects import Param
    from stepkit.tekton.yaml_documents import Value


def check_type(param: Param, value: Value | Unknown, node: Node) -> None:
    """Raise an error at ``node`` for a value of another type, or an object that lacks a key."""
    if type_of(value) != param.type:
        raise node.error(
            f"the param {param.name} is of type {param.type}, and this is of type {type_of(value)}"
        )
    if isinstance(value, dict):
        known = {*value, *(param.default if isinstance(param.default, dict) else ())}
        lacking = [key for key in param.keys if key not in known]
        if lacking:
            raise node.error(f"the object {param.name} lacks the key {lacking[0]}")


def with_defaults(
    declared: Mapping[str, Param],
    given: Mapping[str, Value | Unknown],
    missing: Callable[[str], ConfigurationError],
    around: Mapping[str, Any] | None = None,
) -> Names:
    """Add the defaults of the params that are not given; a default may name other params.

    ``around`` are params of the Pipeline that a default may name, too. Raises what ``missing``
    returns for a param that has neither a value nor a default.
    """
    values = Names({**(around or {}), **given})
    for name in given.keys() & declared.keys():
        values[name] = _complete(declared[name], given[name])
    defaults: dict[str, Node] = {}
    for param in declared.values():
        if param.name not in given:
            if param.default is None:
                raise missing(param.name)
            path = f"{param.node.path}.default"
            defaults[param.name] = Node(param.default, param.node.source, path)
    needed = {
        name: {parts[1] for parts in substitute_variables.references(node) if parts[0] == "params"}
        & defaults.keys()
        for name, node in defaults.items()
    }
    try:
        order = list(TopologicalSorter(needed).static_order())
    except CycleError as error:
        first = declared[error.args[1][0]].node
        raise first.error("these defaults name each other in a circle") from error
    for name in order:
        value = substitute_variables.value(defaults[name], Names(params=values))
        values[name] = _complete(declared[name], value)
    return values


def _complete(param: Param, value: Value | Unknown) -> Value | Unknown:
    """Add the keys of an object's default, and check the type."""
    if isinstance(value, dict) and isinstance(param.default, dict):
        value = {**param.default, **value}
    check_type(param, value, param.node)
    return value
