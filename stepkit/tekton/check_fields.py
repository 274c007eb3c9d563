"""Check that a Task or a Pipeline has the fields and types that ``fields.json`` lists."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from stepkit.formats.did_you_mean import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stepkit.errors import ConfigurationError
    from stepkit.tekton.yaml_documents import Node

Refused = dict[str, dict[str, str]]

_KINDS: Final = {dict: "a mapping", list: "a list", str: "a string", bool: "a boolean"}
_WORDS: Final = {
    "duration": (
        re.compile(r"0|(\d+(\.\d+)?(ms|s|m|h))+"),
        "is not a duration: write 90s, 5m or 1h30m",
    ),
    "label": (
        re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"),
        "is not a valid name: use lower-case letters, digits and '-'",
    ),
    "labelValue": (
        re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?"),
        "is not the value of a label: use letters, digits, '-', '_' and '.', 63 at most",
    ),
    "name": (
        re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"),
        "is not a valid name: use lower-case letters, digits, '-' and '.'",
    ),
    # A variable passes: Tekton replaces none there, which another check says.
    "quantity": (
        re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?|.*\$\(.*"),
        "is not a quantity such as 500m or 4Gi",
    ),
    "string": (re.compile(r".*", re.DOTALL), ""),
}


@cache
def field_types() -> dict[str, dict[str, str]]:
    """Return the fields of each type, with their own types: the content of ``fields.json``."""
    text = resources.files("stepkit.tekton").joinpath("fields.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = json.loads(text)
    del found[""]  # the notes at the head of the file
    return found


def field_problems(
    node: Node, kind: str, refused: Mapping[str, Mapping[str, str]]
) -> Iterator[ConfigurationError]:
    """Yield where ``node`` is not a ``kind`` of ``fields.json``.

    ``refused`` holds, for each kind, fields that the caller refuses, and the problem to name.
    """
    if kind in field_types():
        yield from _mapping_problems(node, kind, refused)
    elif kind.startswith("[") and not isinstance(node.value, list):
        yield node.error(f"must be a list, not {_kind_of(node.value)}")
    elif kind.startswith("["):
        for item in node.items():
            yield from field_problems(item, kind[1:-1], refused)
    elif kind.startswith("{") and not isinstance(node.value, dict):
        yield node.error(f"must be a mapping, not {_kind_of(node.value)}")
    elif kind.startswith("{"):
        for name in node.value:
            yield from field_problems(node.child(name), kind[1:-1], refused)
    elif kind == "value" and isinstance(node.value, list | dict):
        yield from field_problems(
            node, "[string]" if isinstance(node.value, list) else "{string}", refused
        )
    elif problem := _scalar_problem(node.value, kind):
        yield node.error(problem)


def _mapping_problems(
    node: Node, kind: str, refused: Mapping[str, Mapping[str, str]]
) -> Iterator[ConfigurationError]:
    if not isinstance(node.value, dict):
        yield node.error(f"must be a mapping, not {_kind_of(node.value)}")
        return
    fields = field_types()[kind]
    types = {name.removesuffix("!"): value for name, value in fields.items()}
    reasons = refused.get(kind, {})
    for name in node.value:
        if name in reasons:
            yield node.child(name).error(reasons[name])
        elif name not in types:
            known = types.keys() - reasons.keys()
            yield node.error(f"unknown field {name!r}{did_you_mean(name, known)}")
    for name in (field[:-1] for field in fields if field.endswith("!")):
        if node.value.get(name) is None:
            yield node.error(f"the field {name!r} is missing")
    for name, child in node.fields().items():
        if name in types and name not in reasons:
            yield from field_problems(child, types[name], refused)


def _scalar_problem(value: Any, kind: str) -> str:
    """Say why ``value`` is not of the scalar type ``kind``; ``""`` where it is."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind in {"any", "value"} or (kind == "quantity" and number):
        return ""
    if kind == "boolean":
        return "" if isinstance(value, bool) else f"must be true or false, not {_kind_of(value)}"
    if kind == "count":
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        return "" if whole else "must be a whole number, 0 or more"
    if not isinstance(value, str):
        return f"must be a string, not {_kind_of(value)}: put it in quotes"
    if "|" in kind:
        words = kind.split("|")
        return "" if value in words else f"{value!r} is none of {', '.join(words)}"
    pattern, problem = _WORDS[kind]
    return "" if pattern.fullmatch(value) else f"{value!r} {problem}"


def _kind_of(value: Any) -> str:
    return _KINDS.get(type(value), "empty" if value is None else "a number")
