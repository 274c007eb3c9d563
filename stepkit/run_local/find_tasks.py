"""Find the Pipeline and its Tasks in files, and refuse what cannot run on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepkit.errors import ConfigurationError, Reason
from stepkit.formats.did_you_mean import did_you_mean
from stepkit.run_local.refused import REFUSED_FIELDS
from stepkit.tekton import shipped
from stepkit.tekton.check_fields import field_problems
from stepkit.tekton.check_pipeline import pipeline_problems
from stepkit.tekton.check_task import task_problems
from stepkit.tekton.read_pipeline import read_pipeline
from stepkit.tekton.read_task import read_task
from stepkit.tekton.yaml_documents import Node, nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepkit.tekton.objects import Pipeline, Task


def load_pipeline(path: Path, directories: Sequence[Path]) -> Pipeline:
    """Read the Pipeline in ``path``, and its Tasks from the same file or from ``directories``.

    Where there is no such file, ``path`` may be the name of a Pipeline of this package.
    Raises :class:`ConfigurationError` for anything in them that cannot run as it is.
    """
    pipelines: list[Node] = []
    tasks: dict[str, Node] = {}
    path = _find_file(path)
    for node in nodes(path):
        kind, name = _read_head(node, str(path))
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
    finder = _Finder(tasks, directories or (path.parent, _above(path)), path)
    (pipeline,) = pipelines
    _raise_first(pipeline_problems(pipeline, REFUSED_FIELDS))
    return read_pipeline(pipeline, finder.find)


def _find_file(path: Path) -> Path:
    """Return ``path``, or the file of the Pipeline of this package that it names."""
    known = shipped.pipelines()
    if path.is_dir() or not path.exists():
        if str(path) in known:
            return known[str(path)]
        if not path.is_dir() and (not path.suffix or path.stem in known):
            raise ConfigurationError(
                f"there is no file {path}, and no Pipeline of stepkit has that name"
                f"{did_you_mean(path.stem, known)}",
                reason=Reason.NOT_FOUND,
            )
    return path


class _Finder:
    """Looks up Tasks by name, first among ``own``, then in the files of ``directories``."""

    def __init__(self, own: dict[str, Node], directories: Sequence[Path], pipeline: Path) -> None:
        self.own = own
        self.directories = directories
        self.pipeline = pipeline
        self.read: dict[str, Task] = {}
        self.broken: list[str] = []
        self.cached: dict[Path, list[tuple[str, Node]]] = {}
        self.known: set[str] = set(own)

    def find(self, ref: Node) -> Task:
        """Return the Task that ``ref``, a taskRef, names."""
        kind = ref.value.get("kind") or "Task"
        version = ref.value.get("apiVersion") or "tekton.dev/v1"
        if kind != "Task" or version != "tekton.dev/v1":
            raise ref.error(f"run-local refuses {version} {kind}: only Tasks of tekton.dev/v1")
        name, wanted = ref.child("name"), ref.value["name"]
        if "$(" in wanted:
            raise name.error("run-local replaces no variables in a Task's name")
        if wanted not in self.read:
            node = self.own.get(wanted) or self._search(wanted)
            if node is None:
                places = " or ".join(str(directory) for directory in self.directories)
                if wanted in shipped.tasks():
                    places += " (stepkit tasks --out DIR writes it)"
                unread = f"; unreadable there: {'; '.join(self.broken)}" if self.broken else ""
                raise name.error(
                    f"there is no Task {wanted!r} in {self.pipeline}, {places}"
                    f"{did_you_mean(wanted, self.known)}{unread}"
                )
            _raise_first(task_problems(node, REFUSED_FIELDS))
            self.read[wanted] = read_task(node.child("spec"), wanted, inline=False)
        return self.read[wanted]

    def _search(self, wanted: str) -> Node | None:
        for directory in self.directories:
            if directory not in self.cached:
                self.cached[directory] = self._read_directory(directory)
            same = [node for name, node in self.cached[directory] if name == wanted]
            self.known.update(name for name, _ in self.cached[directory])
            if len(same) > 1:
                raise same[1].error(f"is also defined in {same[0].source.partition(':')[0]}")
            if same:
                return same[0]
        return None

    def _read_directory(self, directory: Path) -> list[tuple[str, Node]]:
        """Return the Tasks of a directory, with their names."""
        found = []
        for file in sorted([*directory.glob("*.yaml"), *directory.glob("*.yml")]):
            if file.resolve() == self.pipeline.resolve():
                continue
            try:
                for node in nodes(file):
                    if isinstance(node.value, dict) and node.value.get("kind") == "Task":
                        name = _read_head(node, str(file))[1]
                        found.append((name, node.named(f"{file}: Task {name}")))
            except ConfigurationError as error:  # it matters only if the Task is found nowhere
                self.broken.append(str(error))
        return found


def _above(path: Path) -> Path:
    """Return the directory above that of ``path``."""
    return path.parent.parent if path.parent.name not in {"", ".."} else path.parent / ".."


def _what_to_give(run: Any, file: Path) -> str:
    """Return what to give run-local in place of the PipelineRun in ``file``."""
    try:
        name = str(run["spec"]["pipelineRef"]["name"])
    except (KeyError, TypeError):
        return "give a file with its Pipeline, and its params by --param"
    # The directory above first: the PipelineRun beside this one may have the Pipeline's name.
    places = (directory / f"{name}.yaml" for directory in (_above(file), file.parent))
    found = next((str(path) for path in places if path.is_file() and path != file), name)
    return f"give its Pipeline, {found}, and its params by --param"


def _raise_first(problems: Iterator[ConfigurationError]) -> None:
    for problem in problems:
        raise problem


def _read_head(node: Node, file: str) -> tuple[str, str]:
    """Return kind and name of a document of ``file``.

    Raises :class:`ConfigurationError` when it is not a Pipeline or a Task of Tekton's v1.
    """
    top = Node(node.value, file)
    _raise_first(field_problems(top, "{any}", {}))
    head = top.fields()
    if "kind" not in head or "apiVersion" not in head:
        raise top.error("a document has no kind or no apiVersion")
    for name in ("kind", "apiVersion"):
        _raise_first(field_problems(head[name], "string", {}))
    kind, version = head["kind"].value, head["apiVersion"].value
    if kind == "PipelineRun":
        raise top.error(f"it is a PipelineRun: {_what_to_give(node.value, Path(file))}")
    if kind not in {"Pipeline", "Task"}:
        raise top.error(
            f"run-local refuses the {kind} in it: it takes a Pipeline and its Tasks"
            f"{did_you_mean(kind, ['Pipeline', 'Task'])}"
        )
    if version != "tekton.dev/v1":
        raise head["apiVersion"].error(f"run-local reads tekton.dev/v1, not {version}")
    if "metadata" not in head:
        raise top.error(f"a {kind} has no metadata")
    _raise_first(field_problems(head["metadata"], "Metadata", {}))
    return kind, head["metadata"].value["name"]
