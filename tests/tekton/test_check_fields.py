"""The list of fields: what it finds, and that it says what Tekton's own schemas say."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stepkit.tekton.check_fields import field_problems, field_types
from stepkit.tekton.yaml_documents import Node

# Types of fields.json, and where Tekton's schemas say what they are.
PLACES = {
    "PipelineSpec": ("pipeline", "spec"),
    "PipelineResult": ("pipeline", "spec.results"),
    "PipelineTask": ("pipeline", "spec.tasks"),
    "TaskRef": ("pipeline", "spec.tasks.taskRef"),
    "ParamValue": ("pipeline", "spec.tasks.params"),
    "Binding": ("pipeline", "spec.tasks.workspaces"),
    "When": ("pipeline", "spec.tasks.when"),
    "Matrix": ("pipeline", "spec.tasks.matrix"),
    "MatrixInclude": ("pipeline", "spec.tasks.matrix.include"),
    "EmbeddedTask": ("pipeline", "spec.tasks.taskSpec"),
    "TaskSpec": ("task", "spec"),
    "Param": ("task", "spec.params"),
    "TaskWorkspace": ("task", "spec.workspaces"),
    "TaskResult": ("task", "spec.results"),
    "StepTemplate": ("task", "spec.stepTemplate"),
    "Step": ("task", "spec.steps"),
    "StepWorkspace": ("task", "spec.steps.workspaces"),
    "VolumeMount": ("task", "spec.steps.volumeMounts"),
    "EnvVar": ("task", "spec.steps.env"),
    "EnvSource": ("task", "spec.steps.env.valueFrom"),
    "SecretKeyRef": ("task", "spec.steps.env.valueFrom.secretKeyRef"),
    "Volume": ("task", "spec.volumes"),
    "EmptyDir": ("task", "spec.volumes.emptyDir"),
}


def properties(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an object, or of the items of a list, in a schema of Tekton's."""
    while "items" in schema or "$ref" in schema:
        schema = schema.get("items") or root["$defs"][schema["$ref"].rpartition("/")[2]]
    found: dict[str, Any] = schema["properties"]
    return found


def problems(value: Any, kind: str, **refused: dict[str, str]) -> list[str]:
    return [str(problem) for problem in field_problems(Node(value, "f"), kind, refused)]


@pytest.mark.parametrize("kind", PLACES)
def test_every_field_of_the_list_is_a_field_of_tekton(kind: str) -> None:
    directory = os.environ.get("TEKTON_SCHEMAS")
    if not directory:
        pytest.skip("TEKTON_SCHEMAS names no directory with Tekton's JSON schemas")
    name, path = PLACES[kind]
    root = json.loads(Path(directory, f"{name}.json").read_text())
    found = properties(root, root)
    for part in path.split("."):
        found = properties(found[part], root)

    assert {field.removesuffix("!") for field in field_types()[kind]} <= found.keys()


def types(text: str) -> Iterator[str]:
    yield from text.strip("[]{}").split("|")


def test_every_type_of_a_field_is_in_the_list_or_is_a_scalar() -> None:
    kinds = field_types()
    used = {t for kind in kinds.values() for t in kind.values()}

    capitalised = {name for text in used for name in types(text) if name[0].isupper()}
    assert capitalised <= kinds.keys()


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        ("Binding", [], "f: must be a mapping, not a list"),
        ("Binding", {"name": "a", "subpath": "b"}, "f: unknown field 'subpath': did you mean"),
        ("Binding", {"workspace": "a"}, "f: the field 'name' is missing"),
        ("Binding", {"name": None}, "f: the field 'name' is missing"),
        ("Binding", {"name": 1}, "f: name: must be a string, not a number: put it in quotes"),
        ("When", {"input": "a", "operator": "is", "values": []}, "'is' is none of in, notin"),
        ("[string]", {}, "f: must be a list, not a mapping"),
        ("[string]", ["a", True], "f: [1]: must be a string, not a boolean"),
        ("{any}", "a", "f: must be a mapping, not a string"),
        ("value", {"a": 1}, "f: a: must be a string, not a number"),
        ("boolean", "true", "f: must be true or false, not a string"),
        ("count", True, "f: must be a whole number, 0 or more"),
        ("duration", "soon", "f: 'soon' is not a duration: write 90s, 5m or 1h30m"),
        ("label", "A", "f: 'A' is not a valid name: use lower-case letters, digits and '-'"),
    ],
)
def test_a_value_of_another_type_is_found(kind: str, value: Any, problem: str) -> None:
    (found,) = problems(value, kind)
    assert problem in found


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("Binding", {"name": "a", "workspace": None}),
        ("value", 5),
        ("value", ["a"]),
        ("any", [{}]),
        ("duration", "1h30m"),
    ],
)
def test_a_value_of_the_type_is_accepted(kind: str, value: Any) -> None:
    assert problems(value, kind) == []


def test_a_caller_may_refuse_fields_and_they_are_not_suggested() -> None:
    refused = {"subPath": "it cannot be mounted"}

    (found,) = problems({"name": "a", "subPath": "b"}, "Binding", Binding=refused)
    assert found == "f: subPath: it cannot be mounted"
    (found,) = problems({"name": "a", "subPat": "b"}, "Binding", Binding=refused)
    assert found == "f: unknown field 'subPat' (known: name, workspace)"
