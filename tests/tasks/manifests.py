"""Read the YAML of tasks/ as a cluster does, and walk through it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from stepkit.formats import yaml_files

ROOT = Path(__file__).parents[2] / "tasks"


@dataclass(frozen=True)
class Manifest:
    """One object, and the file that it stands in."""

    path: Path
    value: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.value["kind"])

    @property
    def name(self) -> str:
        return str(self.value["metadata"].get("name", ""))

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.value["spec"]
        return spec

    @property
    def label(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.kind}"


Checker = Callable[["Manifest", "Library"], Iterator[str]]


@cache
def manifests(*kinds: str) -> list[Manifest]:
    """Return all objects of these kinds, or all there are."""
    found = [
        Manifest(path, document.value)
        for path in sorted(ROOT.glob("**/*.yaml"))
        for document in yaml_files.read_manifests(path)
        if document.value is not None
    ]
    return [one for one in found if not kinds or one.value.get("kind") in kinds]


class Library:
    """The Tasks and Pipelines that references can name."""

    def __init__(self, found: list[Manifest]) -> None:
        self.tasks = {one.name: one.spec for one in found if one.kind == "Task"}
        self.pipelines = {one.name: one.spec for one in found if one.kind == "Pipeline"}

    def task_of(self, used: dict[str, Any]) -> dict[str, Any]:
        """Return the spec of the Task that a Pipeline's task stands for; empty if there is none."""
        if "taskSpec" in used:
            spec: dict[str, Any] = used["taskSpec"]
            return spec
        return self.tasks.get(used.get("taskRef", {}).get("name", ""), {})


@cache
def library() -> Library:
    return Library(manifests("Task", "Pipeline"))


def leaves(value: Any, field: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every text, number and boolean with its field; an index is written ``*``."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{field}.{key}" if field else str(key))
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, f"{field}.*")
    else:
        yield field, value


def texts(value: Any) -> Iterator[tuple[str, str]]:
    """Yield every text with the field it stands in."""
    return ((field, leaf) for field, leaf in leaves(value) if isinstance(leaf, str))


def named(entries: list[dict[str, Any]] | None) -> dict[str, dict[str, Any]]:
    """Return entries such as params by their names."""
    return {entry["name"]: entry for entry in entries or []}


def repeated(entries: list[dict[str, Any]] | None) -> set[str]:
    names = [entry.get("name", "") for entry in entries or []]
    return {name for name in names if names.count(name) > 1}


def pipeline_tasks(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [*spec.get("tasks", []), *spec.get("finally", [])]


def seconds(duration: str) -> float:
    """Read a duration as Go does."""
    units = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", duration)
    return sum(float(number) * units[unit] for number, unit in parts)
