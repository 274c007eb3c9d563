"""What a Task and a Pipeline say: the objects that are read from their YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stepkit.tekton.yaml_documents import Node, Value

if TYPE_CHECKING:
    from collections.abc import Iterator


Type = Literal["string", "array", "object"]


@dataclass(frozen=True, kw_only=True)
class Param:
    """A declared param; ``keys`` are an object's properties, ``default`` may hold variables."""

    name: str
    type: Type
    keys: tuple[str, ...]
    default: Value | None
    node: Node


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """A declared workspace."""

    name: str
    optional: bool
    read_only: bool
    node: Node


@dataclass(frozen=True, kw_only=True)
class Result:
    """A declared result of a Task; ``keys`` are what an object must have."""

    name: str
    type: Type
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SecretKey:
    """The key of a Secret that holds the value of an environment variable."""

    name: Node
    key: Node
    optional: bool


@dataclass(frozen=True, kw_only=True)
class Variable:
    """An environment variable of a step: its text, or the key of its Secret."""

    name: str
    value: Node | None
    secret: SecretKey | None


@dataclass(frozen=True, kw_only=True)
class Step:
    """One container of a Task.

    ``fields`` are its fields over those of the stepTemplate; ``mounts`` are those of both.
    """

    name: str
    command: list[Node]
    args: list[Node]
    variables: tuple[Variable, ...]
    directory: Node | None
    on_error: Node | None
    timeout: float | None
    fields: Mapping[str, Node]
    mounts: tuple[Node, ...]
    node: Node


@dataclass(frozen=True, kw_only=True)
class Task:
    """A Task, or the taskSpec of a Pipeline's task: that one is ``inline``."""

    name: str
    source: str
    inline: bool
    params: Mapping[str, Param]
    workspaces: Mapping[str, Workspace]
    results: Mapping[str, Result]
    steps: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True)
class When:
    """One condition of a Pipeline's task."""

    input: Node
    negated: bool
    values: Node


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """How a Pipeline's task fans out."""

    params: Mapping[str, Node]
    include: tuple[Mapping[str, Node], ...]

    def names(self) -> set[str]:
        """Name every param that the matrix sets."""
        return {*self.params, *(name for entry in self.include for name in entry)}


@dataclass(frozen=True, kw_only=True)
class Binding:
    """A workspace of the Pipeline that a task binds to one of its Task."""

    workspace: str
    sub_path: Node | None
    node: Node


@dataclass(frozen=True, kw_only=True)
class PipelineTask:
    """One entry of a Pipeline's ``tasks`` or ``finally``."""

    name: str
    task: Task
    params: Mapping[str, Node]
    workspaces: Mapping[str, Binding]
    when: tuple[When, ...]
    matrix: Matrix | None
    run_after: tuple[Node, ...]
    retries: int
    timeout: float | None
    on_error: Node | None
    node: Node
    final: bool

    def templates(self) -> Iterator[Node]:
        """Yield every field in which a Pipeline's variables are replaced."""
        yield from self.params.values()
        for condition in self.when:
            yield condition.input
            yield condition.values
        if self.matrix:
            yield from self.matrix.params.values()
            for entry in self.matrix.include:
                yield from entry.values()
        yield from (b.sub_path for b in self.workspaces.values() if b.sub_path)
        if self.on_error:
            yield self.on_error


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """A Pipeline with its Tasks."""

    name: str
    params: Mapping[str, Param]
    workspaces: Mapping[str, Workspace]
    tasks: tuple[PipelineTask, ...]
    final: tuple[PipelineTask, ...]
    results: Mapping[str, Node]
    node: Node

    def task(self, name: str) -> PipelineTask:
        """Return the task called ``name``."""
        return next(task for task in (*self.tasks, *self.final) if task.name == name)
