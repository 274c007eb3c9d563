"""Read YAML as a cluster does, and take it apart so that nothing in it goes unnoticed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError
from stepkit.formats import durations, yaml_files
from stepkit.formats.did_you_mean import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Value = str | list[str] | dict[str, str]

_DURATION: Final = re.compile(r"0|(\d+(\.\d+)?(ms|s|m|h))+")
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def nodes(path: Path) -> list[Node]:
    """Read every document of a YAML file.

    Raises :class:`ConfigurationError` when it cannot be read, or says one thing twice.
    """
    found = yaml_files.read_manifests(path)
    return [Node(one.value, str(path)) for one in found if one.value is not None]


@dataclass(frozen=True)
class Node:
    """One value of a YAML document, and where it stands."""

    value: Any
    source: str  # file, kind and name
    path: str = ""  # the field, as kubectl would spell it

    def error(self, problem: str) -> ConfigurationError:
        """Say what is wrong here."""
        return ConfigurationError(": ".join(filter(None, (self.source, self.path, problem))))

    def named(self, source: str) -> Node:
        """Return the same value, once it is known to be part of ``source``."""
        return Node(self.value, source, self.path)

    def fields(
        self,
        known: Iterable[str],
        *,
        required: Iterable[str] = (),
        refused: Mapping[str, str] | None = None,
    ) -> dict[str, Node]:
        """Return the fields that are set; any that is not ``known`` is an error."""
        if not isinstance(self.value, dict):
            raise self.error(f"must be a mapping, not {_kind(self.value)}")
        for name in self.value:
            if name in (refused or {}):
                raise self._child(name).error(f"run-local refuses this: {(refused or {})[name]}")
            if name not in known:
                raise self.error(f"unknown field {name!r}{did_you_mean(name, known)}")
        present = {n: self._child(n) for n in self.value if self.value[n] is not None}
        for name in required:
            if name not in present:
                raise self.error(f"the field {name!r} is missing")
        return present

    def anything(self) -> dict[str, Node]:
        """Return the entries of a mapping whose keys are names of the user's."""
        if not isinstance(self.value, dict):
            raise self.error(f"must be a mapping, not {_kind(self.value)}")
        return {name: self._child(name) for name in self.value}

    def items(self) -> list[Node]:
        """Return the items of a list."""
        if not isinstance(self.value, list):
            raise self.error(f"must be a list, not {_kind(self.value)}")
        return [
            Node(v, self.source, f"{self.path}[{number}]") for number, v in enumerate(self.value)
        ]

    def texts(self) -> list[Node]:
        """Return the items of a list of strings."""
        for item in self.items():
            item.text()
        return self.items()

    def text(self) -> str:
        """Return a string; a bare number or boolean is refused, as a cluster refuses it."""
        if not isinstance(self.value, str):
            raise self.error(f"must be a string, not {_kind(self.value)}: put it in quotes")
        return self.value

    def label(self) -> str:
        """Return the name of an object: lower-case letters, digits and dashes."""
        if not _LABEL.fullmatch(self.text()):
            raise self.error(f"{self.text()!r} is no name: use lower-case letters, digits and '-'")
        return self.text()

    def one_of(self, *allowed: str) -> str:
        """Return a string that is one of ``allowed``."""
        if self.text() not in allowed:
            raise self.error(f"{self.text()!r} is none of {', '.join(allowed)}")
        return self.text()

    def flag(self) -> bool:
        """Return a boolean."""
        if not isinstance(self.value, bool):
            raise self.error(f"must be true or false, not {_kind(self.value)}")
        return self.value

    def count(self) -> int:
        """Return a number of times."""
        if isinstance(self.value, bool) or not isinstance(self.value, int) or self.value < 0:
            raise self.error("must be a whole number, 0 or more")
        return self.value

    def duration(self) -> float | None:
        """Return a time limit in seconds, None for ``0``: no limit."""
        if not _DURATION.fullmatch(self.text()):
            raise self.error(f"{self.text()!r} is no duration: write 90s, 5m or 1h30m")
        return durations.parse(self.text()) or None

    def param_value(self) -> Value:
        """Return what a param may be: a string, a list of strings or an object of strings.

        A bare number or boolean becomes a string, as in a cluster; inside a list it does not.
        """
        if isinstance(self.value, list):
            return [item.text() for item in self.items()]
        if isinstance(self.value, dict):
            return {name: entry.text() for name, entry in self.anything().items()}
        return self.value if isinstance(self.value, str) else json.dumps(self.value)

    def _child(self, name: str) -> Node:
        path = f"{self.path}.{name}" if self.path else name
        return Node(self.value[name], self.source, path)


def unique(nodes: Iterable[tuple[str, Node]]) -> None:
    """Refuse a name that is given twice; ``nodes`` are names and where they stand."""
    seen: set[str] = set()
    for name, node in nodes:
        if name in seen:
            raise node.error(f"the name {name!r} is used twice")
        seen.add(name)


def _kind(value: Any) -> str:
    kinds = {dict: "a mapping", list: "a list", str: "a string", bool: "a boolean"}
    return kinds.get(type(value), "empty" if value is None else "a number")
