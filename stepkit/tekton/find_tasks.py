"""Find the Pipeline and its Tasks in files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepkit.errors import ConfigurationError
from stepkit.formats.did_you_mean import did_you_mean
from stepkit.tekton.read_pipeline import object_name, read_pipeline
from stepkit.tekton.read_task import read_task
from stepkit.tekton.yaml_documents import Node, nodes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stepkit.tekton.objects import Pipeline, Task


def load(path: Path, directories: Sequence[Path]) -> Pipeline:
    """Read the Pipeline in ``path``, and its Tasks from the same file or from ``directories``.

    Raises :class:`ConfigurationError` for anything in them that cannot run as it is.
    """
    pipelines: list[Node] = []
    tasks: dict[str, Node] = {}
    for node in nodes(path):
        kind, name = object_name(node, str(path))
        named = node.named(f"{path}: {kind} {name}")
        if kind == "Pipeline":
            pipelines.append(named)
        elif name in tasks:
            raise named.error("is defined twice in this file")
        else:
            tasks[name] = named
    if len(pipelines) != 1:
        found = f"{len(pipelines)} Pipelines" if pipelines else "no Pipeline"
        raise ConfigurationError(f"{path}: there is {found} in it: run-local takes one")
    for directory in directories:
        if not directory.is_dir():
            raise ConfigurationError(f"--tasks {directory}: there is no such directory")
    above = path.parent.parent if path.parent.name not in {"", ".."} else path.parent / ".."
    finder = _Finder(tasks, directories or (path.parent, above), path)
    return read_pipeline(pipelines[0], finder.find)


class _Finder:
    def __init__(self, own: dict[str, Node], directories: Sequence[Path], pipeline: Path) -> None:
        self.own = own
        self.directories = directories
        self.pipeline = pipeline
        self.read: dict[str, Task] = {}
        self.broken: list[str] = []
        self.cached: dict[Path, list[tuple[str, Node]]] = {}
        self.known: set[str] = set(own)

    def find(self, name: Node) -> Task:
        wanted = name.text()
        if wanted not in self.read:
            node = self.own.get(wanted) or self._search(wanted)
            if node is None:
                places = " or ".join(str(directory) for directory in self.directories)
                unread = f"; unreadable there: {'; '.join(self.broken)}" if self.broken else ""
                raise name.error(
                    f"there is no Task {wanted!r} in {self.pipeline}, {places}"
                    f"{did_you_mean(wanted, self.known)}{unread}"
                )
            top = node.fields(("apiVersion", "kind", "metadata", "spec"), required=["spec"])
            self.read[wanted] = read_task(top["spec"], wanted, node.source, inline=False)
        return self.read[wanted]

    def _search(self, wanted: str) -> Node | None:
        for directory in self.directories:
            found = self._in_directory(directory)
            same = [node for name, node in found if name == wanted]
            self.known.update(name for name, _ in found)
            if len(same) > 1:
                raise same[1].error(f"is also defined in {same[0].source.partition(':')[0]}")
            if same:
                return same[0]
        return None

    def _in_directory(self, directory: Path) -> list[tuple[str, Node]]:
        if directory not in self.cached:
            files = sorted([*directory.glob("*.yaml"), *directory.glob("*.yml")])
            others = [file for file in files if file.resolve() != self.pipeline.resolve()]
            self.cached[directory] = [found for file in others for found in self._in_file(file)]
        return self.cached[directory]

    def _in_file(self, file: Path) -> list[tuple[str, Node]]:
        found = []
        try:
            for node in nodes(file):
                if isinstance(node.value, dict) and node.value.get("kind") == "Task":
                    name = object_name(node, str(file))[1]
                    found.append((name, node.named(f"{file}: Task {name}")))
        except ConfigurationError as error:  # it matters only if the Task is found nowhere
            self.broken.append(str(error))
        return found
