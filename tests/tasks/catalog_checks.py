"""Check the conventions of the Tekton catalog: names, descriptions, versions, quoted texts."""

import re
from collections.abc import Iterator
from typing import Any

from tasks.manifests import Library, Manifest, leaves

import stepkit

MOST_OF_A_SUMMARY = 110  # characters: what the catalog shows in a list
ANNOTATIONS = ("pipelines.minVersion", "displayName")
CATALOG_ANNOTATIONS = ("categories", "tags", "platforms")
_TEXT = re.compile(r"(.*\.)?((params|env)\.\*\.(default|value)|args|command)(\.\*)?")


def check_catalog(manifest: Manifest, library: Library) -> Iterator[str]:  # noqa: ARG001
    """Find where the conventions of the catalog are not kept."""
    if manifest.kind in {"Task", "StepAction", "Pipeline"}:
        yield from _metadata(manifest)
        yield from _descriptions(manifest)
    for field, leaf in leaves(manifest.value):
        if not isinstance(leaf, str) and _TEXT.fullmatch(field):
            yield f"{field}: {leaf} must be a text: put it in quotes"
        if ":latest" in str(leaf):
            yield f"{field}: what :latest is changes from day to day"
        if field.endswith(".script"):
            yield f"{field}: a Task names a command and has no script"


def _entries(manifest: Manifest, group: str) -> list[dict[str, Any]]:
    found = manifest.value.get("spec", {}).get(group, [])
    return found if isinstance(found, list) and all(isinstance(e, dict) for e in found) else []


def _metadata(manifest: Manifest) -> Iterator[str]:
    metadata = manifest.value["metadata"]
    if manifest.path.stem != manifest.name:
        yield f"the file is named {manifest.path.stem}, the {manifest.kind} {manifest.name}"
    if metadata.get("labels", {}).get("app.kubernetes.io/version") != stepkit.__version__:
        yield f"the label app.kubernetes.io/version is not {stepkit.__version__}"
    wanted = ANNOTATIONS if manifest.kind == "Pipeline" else ANNOTATIONS + CATALOG_ANNOTATIONS
    version = metadata.get("annotations", {}).get("tekton.dev/pipelines.minVersion", "0.0.0")
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        yield f"metadata: minVersion {version} is not a version"
    for name in wanted:
        if not metadata.get("annotations", {}).get(f"tekton.dev/{name}"):
            yield f"the annotation tekton.dev/{name} is missing"


def _descriptions(manifest: Manifest) -> Iterator[str]:
    first = manifest.spec.get("description", "").partition("\n")[0]
    if not first.endswith(".") or len(first) > MOST_OF_A_SUMMARY:
        yield "description: its first line must be one short sentence"
    for group in ("params", "results", "workspaces"):
        for entry in _entries(manifest, group):
            if not entry.get("description", "").endswith("."):
                yield f"{group}: {entry['name']}: has no description that ends in a full stop"
