"""The artifacts of a run as run.json holds them: those of the manifest, and those of steps."""

from __future__ import annotations

import posixpath
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, Literal

from stepkit.report import unchecked_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stepkit.report.run_json import ArtifactJson, TestsJson
    from stepkit.report.run_json_notebook import NotebookJson
    from stepkit.report.run_paths import RunPaths
    from stepkit.report.steps_of_run import Run

Role = Literal["", "page", "notebook", "log", "tests", "coverage", "timeline", "data"]

_DATA: Final = {
    ".arrow", ".csv", ".feather", ".h5", ".h5ad", ".loom", ".npy", ".npz", ".parquet", ".tsv",
    ".zarr",
}  # fmt: skip


def record_artifacts(
    run: Run, paths: RunPaths, notebooks: Sequence[NotebookJson], tests: Sequence[TestsJson]
) -> list[ArtifactJson]:
    """Return each file once; what ``notebooks`` and ``tests`` say of it is its role."""
    roles = _roles(run, paths, notebooks, tests)
    found: dict[str, ArtifactJson] = {}
    for path, artifact in _files(run, paths):
        found.setdefault(
            path,
            {
                "path": path,
                "size": unchecked_values.whole(artifact["size"]) or 0,
                "sha256": unchecked_values.line(artifact["sha256"]),
                "media_type": unchecked_values.line(artifact.get("media_type")),
                "role": roles.get(path) or _role_by_name(path),
            },
        )
    return list(found.values())


def _files(run: Run, paths: RunPaths) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for entry in run.of_section("artifacts"):
        directory = posixpath.dirname(entry.output("manifest") or "")
        for artifact in entry.output("found") or ():
            if path := paths.shown(posixpath.join(directory, artifact["path"])):
                yield path, artifact
    for entry in run.entries:
        for artifact in entry.data.get("artifacts", ()):
            if path := paths.shown(artifact["path"]):
                yield path, artifact


def _roles(
    run: Run, paths: RunPaths, notebooks: Sequence[NotebookJson], tests: Sequence[TestsJson]
) -> dict[str, Role]:
    roles: dict[str | None, Role] = {}
    for notebook in notebooks:
        roles |= {
            notebook["executed"]: "notebook",
            notebook["page"]: "page",
            notebook["log"]: "log",
            notebook["timeline"]: "timeline",
            notebook["junit"]: "tests",
        }
    for suite in tests:
        roles |= {suite["report"]: "tests", suite["junit"]: "tests", suite["log"]: "log"}
    for entry in run.of_section("tests"):
        roles[paths.shown(entry.output("coverage-report"))] = "coverage"
    return {path: role for path, role in roles.items() if path}


def _role_by_name(path: str) -> Role:
    suffix = PurePosixPath(path).suffix
    return "log" if suffix == ".log" else "data" if suffix in _DATA else ""
