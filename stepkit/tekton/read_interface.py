"""Read what a Task or a Pipeline declares: params, workspaces, results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepkit.tekton.objects import Param, Result, Type, Workspace
from stepkit.tekton.yaml_documents import unique

if TYPE_CHECKING:
    from stepkit.tekton.yaml_documents import Node


def read_params(node: Node | None) -> dict[str, Param]:
    """Read declared params, of a Task or of a Pipeline."""
    found = [_param(item) for item in node.items()] if node else []
    unique((param.name, param.node) for param in found)
    return {param.name: param for param in found}


def read_workspaces(node: Node | None, refused: dict[str, str]) -> dict[str, Workspace]:
    """Read declared workspaces, of a Task or of a Pipeline."""
    found = []
    for item in node.items() if node else []:
        fields = item.fields(
            ("name", "description", "optional", "readOnly"), required=["name"], refused=refused
        )
        optional = "optional" in fields and fields["optional"].flag()
        found.append(Workspace(name=fields["name"].text(), optional=optional, node=item))
    unique((workspace.name, workspace.node) for workspace in found)
    return {workspace.name: workspace for workspace in found}


def _param(node: Node) -> Param:
    fields = node.fields(
        ("name", "description", "type", "properties", "default"),
        required=["name"],
        refused={"enum": "an alpha feature of the cluster"},
    )
    default = fields["default"].param_value() if "default" in fields else None
    implied: Type = "object" if "properties" in fields or isinstance(default, dict) else "string"
    if isinstance(default, list):
        implied = "array"
    kind = _type(fields.get("type"), implied)
    keys = tuple(fields["properties"].anything()) if "properties" in fields else ()
    if kind == "object" and not keys:
        raise node.error("a param of type object needs properties")
    return Param(name=fields["name"].text(), type=kind, keys=keys, default=default, node=node)


def _type(node: Node | None, implied: Type) -> Type:
    if node is None:
        return implied
    named: dict[str, Type] = {"string": "string", "array": "array", "object": "object"}
    return named[node.one_of(*named)]


def read_results(node: Node | None) -> dict[str, Result]:
    """Read declared results of a Task."""
    found = []
    for item in node.items() if node else []:
        fields = item.fields(
            ("name", "description", "type", "properties"),
            required=["name"],
            refused={"value": "write the result's file instead of taking it from a step"},
        )
        keys = tuple(fields["properties"].anything()) if "properties" in fields else ()
        kind = _type(fields.get("type"), "object" if keys else "string")
        if kind == "object" and not keys:
            raise item.error("a result of type object needs properties")
        found.append((Result(name=fields["name"].text(), type=kind, keys=keys), item))
    unique((result.name, item) for result, item in found)
    return {result.name: result for result, _ in found}
