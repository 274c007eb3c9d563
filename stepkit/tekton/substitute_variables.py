"""Replace variables: ``$(params.x)`` as Tekton does, and then ``$(HOME)`` as the kubelet does.

Variables live in a tree of :class:`Names`. Before a run, results are :class:`Unknown`: a reference
to one stays in the text as it is written. A reference to a name that does not exist is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stepkit.formats.did_you_mean import did_you_mean
from stepkit.tekton.objects import Type
from stepkit.tekton.yaml_documents import Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from stepkit.tekton.yaml_documents import Value

REFERENCE: Final = re.compile(
    r"\$\(((?:params|tasks|finally|workspaces|results|context|steps|step|artifacts|inputs|outputs)"
    r"[.\[][^()$]*)\)"
)
_PART: Final = re.compile(r"\.?([^.\[\]\"']+)|\[\"([^\"]+)\"\]|\['([^']+)'\]|\[(\*|\d+)\]")
_KUBELET: Final = re.compile(r"\$(?:(\$)|\(([^)]*)\))")


class Names(dict[str, Any]):
    """The names that may follow a dot in a reference."""


@dataclass(frozen=True)
class Unknown:
    """A value that is known only during a run."""

    reference: str
    type: Type = "string"

    def inside(self, part: str) -> Unknown:
        """Return the value of one item or key."""
        return Unknown(
            f"{self.reference}[{part}]" if part.isdigit() else f"{self.reference}.{part}"
        )


@dataclass(frozen=True)
class Missing:
    """A result that its task declares and did not write."""

    task: str
    result: str


class MissingResult(Exception):  # noqa: N818 - only the caller knows whether it is an error
    """A reference needs a result that was not written."""

    def __init__(self, missing: Missing) -> None:
        super().__init__(f"task {missing.task} did not emit the result {missing.result}")
        self.task = missing.task


def type_of(value: Value | Unknown) -> Type:
    """Return the type that Tekton gives ``value``."""
    if isinstance(value, Unknown):
        return value.type
    kinds: dict[type, Type] = {list: "array", dict: "object"}
    return kinds.get(type(value), "string")


def references(node: Node) -> Iterator[list[str]]:
    """Yield the parts of every reference in ``node``: ``["tasks", "x", "results", "y"]``."""
    for part in node.texts():
        for match in REFERENCE.finditer(part.value):
            yield _parts(match[1], node)


def text(node: Node, scope: Names) -> str:
    """Replace the variables in a string; arrays and objects do not fit into one.

    Raises :class:`~stepkit.errors.ConfigurationError` for a variable that does not exist, and
    :class:`MissingResult` for a result that was not written.
    """

    def replace(match: re.Match[str]) -> str:
        found = _look_up(match[1], scope, node)
        kind = type_of(found)
        if kind != "string":
            hint = f"write $({match[1].removesuffix('[*]')}[*]) as a whole item of a list"
            raise node.error(f"$({match[1]}) is an {kind} and does not fit into a string: {hint}")
        return f"$({found.reference})" if isinstance(found, Unknown) else str(found)

    return REFERENCE.sub(replace, node.value)


def items(nodes: Iterable[Node], scope: Names) -> list[str]:
    """Replace the variables in a list; ``$(x[*])`` as a whole item becomes x's items, or none.

    Raises what :func:`text` raises.
    """
    result: list[str] = []
    for node in nodes:
        whole = _whole(node.value, scope, node)
        if whole is None:
            result.append(text(node, scope))
        elif isinstance(whole, Unknown) and whole.type == "array":
            result.append(f"$({whole.reference}[*])")
        elif isinstance(whole, list):
            result.extend(whole)
        else:
            raise node.error(f"{node.value} is an object: name one of its keys")
    return result


def value(node: Node, scope: Names) -> Value | Unknown:
    """Replace the variables in a param's value; ``$(x[*])`` alone passes x itself.

    Raises what :func:`text` raises.
    """
    given = node.param_value()
    if isinstance(given, list):
        return items(node.items(), scope)
    if isinstance(given, dict):
        return {k: text(Node(v, node.source, node.path), scope) for k, v in given.items()}
    whole = _whole(given, scope, node)
    return text(Node(given, node.source, node.path), scope) if whole is None else whole


def expand(template: str, env: Mapping[str, str]) -> str:
    """Replace ``$(NAME)`` by a variable of ``env`` as the kubelet does; ``$$`` becomes ``$``."""

    def replace(match: re.Match[str]) -> str:
        return match[1] or env.get(match[2], match[0])

    return _KUBELET.sub(replace, template)


def _whole(given: str, scope: Names, node: Node) -> Any:
    """Return the array or object that ``given`` stands for as a whole, or None."""
    match = REFERENCE.fullmatch(given)
    return _look_up(match[1], scope, node) if match and match[1].endswith("[*]") else None


def _parts(reference: str, node: Node) -> list[str]:
    parts, end = [], 0
    while end < len(reference):
        match = _PART.match(reference, end)
        if match is None:
            raise node.error(f"$({reference}) is not a variable")
        parts.append(next(group for group in match.groups() if group is not None))
        end = match.end()
    return parts


def _look_up(reference: str, scope: Names, node: Node) -> Any:
    """Return the value of ``reference``; a ``[*]`` at its end means all of an array or object."""
    parts = _parts(reference, node)
    star = parts[-1] == "*"
    here: Any = scope
    for number, part in enumerate(parts[:-1] if star else parts):
        here = _inside(here, part, parts[:number], reference, node)
    if isinstance(here, Missing):
        raise MissingResult(here)
    if isinstance(here, Names):
        raise node.error(f"$({reference}) is not a variable{did_you_mean('', here)}")
    if star and type_of(here) == "string":
        raise node.error(f"$({reference}) is a string: write it without [*]")
    return here


def _inside(here: Any, part: str, before: list[str], reference: str, node: Node) -> Any:
    """Take one step of a reference: into an item of a list, or into a name."""
    if isinstance(here, Missing):
        return here
    if isinstance(here, Unknown) and here.type != "string":
        return here.inside(part)
    if isinstance(here, list) and part.isdigit():
        if int(part) < len(here):
            return here[int(part)]
        count = f"there are only {len(here)} items" if here else "the list is empty"
        raise node.error(f"$({reference}): {count}")
    if isinstance(here, dict) and part in here:
        return here[part]
    hint = did_you_mean(part, here) if isinstance(here, dict) else ""
    if before[:1] == ["tasks"] and part in {"status", "reason"}:
        hint = ": only tasks in finally know how other tasks ended"
    raise node.error(f"there is no variable $({reference}){hint}")
