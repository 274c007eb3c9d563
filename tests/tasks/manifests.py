"""Read the YAML of tasks/ as a cluster does, and look up objects and fields in it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from stepkit.formats import yaml_files
from stepkit.tekton import substitute_variables
from stepkit.tekton.check_task import task_problems
from stepkit.tekton.objects import Pipeline, Task
from stepkit.tekton.read_pipeline import read_pipeline
from stepkit.tekton.read_task import read_task
from stepkit.tekton.yaml_documents import Node

ROOT = Path(__file__).parents[2] / "tasks"


@dataclass(frozen=True)
class Manifest:
    """One object, and its file."""

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
    def node(self) -> Node:
        return Node(self.value, f"{self.path.name}: {self.kind} {self.name}")

    @property
    def label(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.kind}"


Checker = Callable[["Manifest", "Library"], Iterator[str]]


def manifests(*kinds: str) -> list[Manifest]:
    """Return all objects of these kinds, or all there are."""
    return [one for one in _read_all() if not kinds or one.value.get("kind") in kinds]


@cache
def _read_all() -> list[Manifest]:
    return [
        Manifest(path, document.value)
        for path in sorted(ROOT.glob("**/*.yaml"))
        for document in yaml_files.read_manifests(path)
        if document.value is not None
    ]


class Library:
    """The Tasks and Pipelines that references can name."""

    def __init__(self, found: list[Manifest]) -> None:
        self.found = {(one.kind, one.name): one for one in found}
        self.tasks = {one.name: one.spec for one in found if one.kind == "Task"}
        self.pipelines = {one.name: one.spec for one in found if one.kind == "Pipeline"}

    def task_of(self, used: dict[str, Any]) -> dict[str, Any]:
        """Return the spec of the Task that a Pipeline's task stands for; empty if there is none."""
        if "taskSpec" in used:
            spec: dict[str, Any] = used["taskSpec"]
            return spec
        return self.tasks.get(used.get("taskRef", {}).get("name", ""), {})

    def find(self, ref: Node) -> Task:
        """Return the Task that a taskRef names; raise an error where there is none."""
        name = ref.value["name"]
        if ("Task", name) not in self.found:
            raise ref.error(f"there is no Task {name}")
        node = self.found["Task", name].node
        for problem in task_problems(node):
            raise problem
        return read_task(node.child("spec"), name, inline=False)

    def pipeline(self, name: str) -> Pipeline:
        return read_pipeline(self.found["Pipeline", name].node, self.find)


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
    """Yield every text with its field."""
    return ((field, leaf) for field, leaf in leaves(value) if isinstance(leaf, str))


def used_names(value: Any, head: str) -> set[str]:
    """Return the names after ``head``, such as ``params``, in all variables of ``value``."""
    return {
        parts[1]
        for node in Node(value, "").texts()
        if not node.path.endswith("description")
        for parts in substitute_variables.references(node)
        if parts[0] == head and len(parts) > 1
    }


def named(entries: list[dict[str, Any]] | None) -> dict[str, dict[str, Any]]:
    """Return entries such as params by their names."""
    return {entry["name"]: entry for entry in entries or []}


def repeated(entries: list[dict[str, Any]] | None) -> set[str]:
    names = [entry.get("name", "") for entry in entries or []]
    return {name for name in names if names.count(name) > 1}


def pipeline_tasks(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [*spec.get("tasks", []), *spec.get("finally", [])]
