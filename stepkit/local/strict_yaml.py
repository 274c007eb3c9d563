"""YAML as a Kubernetes client reads it: strict, and with the types of JSON alone."""

from __future__ import annotations

import os
import re
from typing import Any, Final, NoReturn

import yaml

_TYPES: Final = {"null", "bool", "int", "float", "str", "seq", "map"}
_LARGEST: Final = 2**64


def is_text(value: str) -> bool:
    """Tell whether a process can be given ``value``: no NUL byte, no half of a character.

    Bytes that are no UTF-8, as :func:`os.fsdecode` shows them, can be given.
    """
    try:
        return b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


class Loader(yaml.SafeLoader):
    """The scalars of a Kubernetes client: ``y`` is a boolean, a date or ``1:30`` is a string."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's shape

    def construct_object(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's signature
        """Construct a value that a process could be given, or say where it is wrong."""
        try:
            value = super().construct_object(node, deep)
        except (ValueError, IndexError):  # 0b_, !!int abc
            _refuse(node, f"{node.value!a} is no {node.tag.rpartition(':')[2]}")
        if isinstance(value, str) and not is_text(value):
            _refuse(node, f"{value!a} holds a NUL byte or half a character")
        if isinstance(value, int) and abs(value) > _LARGEST:
            _refuse(node, "this number has more than 64 bits")
        return value

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        """Construct a mapping; a key that is no string, or stands there twice, is refused."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                _refuse(key_node, f"the key {key!r} is no string: put it in quotes")
            if key in seen:
                _refuse(key_node, f"{key!r} stands here twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


def _refuse(node: Any, problem: str) -> NoReturn:
    raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


for _tag, _pattern, _first in (
    ("bool", r"(?i:y|yes|on|true|n|no|off|false)", "yYnNtTfFoO"),
    ("null", r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
    ("int", r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)", "-+0123456789"),
    ("float", r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", "-+.0123456789"),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^{_pattern}$"), _first)


def _bool(loader: Loader, node: yaml.ScalarNode) -> bool:
    return str(loader.construct_scalar(node)).lower() in {"y", "yes", "on", "true"}


Loader.add_constructor("tag:yaml.org,2002:bool", _bool)
# The types of JSON; a cluster knows no dates, sets or bytes.
Loader.yaml_constructors = {
    tag: constructor
    for tag, constructor in Loader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] in _TYPES
}
