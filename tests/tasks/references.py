"""Find ``$(...)`` in YAML, and take it apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.manifests import pipeline_tasks, texts

if TYPE_CHECKING:
    from collections.abc import Iterator

_REFERENCE = re.compile(r"\$\(([^()]*)\)")
_PART = re.compile(r"\.?([^.\[\]\"']+)|\[\"([^\"]+)\"\]|\['([^']+)'\]")
_PROSE = "description"


@dataclass(frozen=True)
class Reference:
    """One ``$(...)`` of a text."""

    field: str
    text: str
    inside: str

    @property
    def parts(self) -> list[str]:
        found = _PART.finditer(re.sub(r"\[(\*|\d+)\]$", "", self.inside))
        return [next(group for group in match.groups() if group) for match in found]

    @property
    def star(self) -> bool:
        return self.inside.endswith("[*]")

    @property
    def index(self) -> bool:
        return bool(re.search(r"\[\d+\]$", self.inside))

    @property
    def whole(self) -> bool:
        return self.text == f"$({self.inside})"

    def problem(self, text: str) -> str:
        return f"{self.field}: $({self.inside}): {text}"


def references(value: Any, skip: tuple[str, ...] = ()) -> Iterator[Reference]:
    """Yield the references in ``value`` but for descriptions and the fields ``skip``."""
    for field, text in texts(value):
        if field.rpartition(".")[2] == _PROSE or field.startswith(skip):
            continue
        for match in _REFERENCE.finditer(text):
            yield Reference(field, text, match[1])


def used_names(value: Any, head: str) -> set[str]:
    """Return the names after ``head``, such as ``params``, in all references of ``value``."""
    return {
        reference.parts[1]
        for reference in references(value)
        if reference.parts[:1] == [head] and len(reference.parts) > 1
    }


def needed_tasks(used: dict[str, Any], spec: dict[str, Any]) -> set[str]:
    """Return the tasks that a Pipeline's task waits for, by runAfter and by their results."""
    names = {one["name"] for one in pipeline_tasks(spec)}
    asked = {name for name in used_names(used, "tasks") if name in names}
    return asked | set(used.get("runAfter", []))
