"""The values of a YAML document, each with the place where it stands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepkit.errors import ConfigurationError
from stepkit.formats import yaml_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Value = str | list[str] | dict[str, str]


def nodes(path: Path) -> list[Node]:
    """Read every document of a YAML file.

    Raises :class:`ConfigurationError` when the file cannot be read, or has a key twice.
    """
    found = yaml_files.read_manifests(path)
    return [Node(one.value, str(path)) for one in found if one.value is not None]


@dataclass(frozen=True)
class Node:
    """One value of a YAML document, and where it stands.

    The methods expect the shape that :mod:`stepkit.tekton.check_fields` checks.
    """

    value: Any
    source: str  # file, kind and name
    path: str = ""  # the field, as kubectl spells it

    def error(self, problem: str) -> ConfigurationError:
        """Return an error that names this place and ``problem``."""
        return ConfigurationError(": ".join(filter(None, (self.source, self.path, problem))))

    def named(self, source: str) -> Node:
        """Return the same value as part of ``source``."""
        return Node(self.value, source, self.path)

    def at(self, path: str) -> Node:
        """Return the same value with another spelling of its path."""
        return Node(self.value, self.source, path)

    def child(self, name: str) -> Node:
        """Return the field ``name`` of a mapping; its value is None where it is not set."""
        return Node(self.value.get(name), self.source, f"{self.path}.{name}".removeprefix("."))

    def fields(self) -> dict[str, Node]:
        """Return the fields of a mapping, without those that are null."""
        return {n: self.child(n) for n, value in self.value.items() if value is not None}

    def get(self, name: str) -> Node | None:
        """Return the field ``name`` of a mapping, None where it is not set."""
        return self.fields().get(name)

    def items(self) -> list[Node]:
        """Return the items of a list; none of null."""
        return [
            Node(item, self.source, f"{self.path}[{number}]")
            for number, item in enumerate(self.value or ())
        ]

    def texts(self) -> Iterator[Node]:
        """Yield every string in this value."""
        if isinstance(self.value, str):
            yield self
        elif isinstance(self.value, list):
            for item in self.items():
                yield from item.texts()
        elif isinstance(self.value, dict):
            for name in self.value:
                yield from self.child(name).texts()

    def param_value(self) -> Value:
        """Return the value of a param; a bare number or boolean becomes a string, as in Tekton."""
        if isinstance(self.value, str | list | dict):
            return self.value
        return json.dumps(self.value)
