"""The list of fields: what it finds, and that it says what Tekton's own schemas say."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from stepkit.tekton.check_fields import field_problems, field_types
from stepkit.tekton.yaml_documents import Node

# Types of fields.json, and where Tekton's schemas say what they are.
PLACES = {
    "Metadata": ("pipeline", "metadata"),
    "PipelineSpec": ("pipeline", "spec"),
    "PipelineWorkspace": ("pipeline", "spec.workspaces"),
    "PipelineResult": ("pipeline", "spec.results"),
    "PipelineTask": ("pipeline", "spec.tasks"),
    "TaskRef": ("pipeline", "spec.tasks.taskRef"),
    "PipelineRef": ("pipeline", "spec.tasks.pipelineRef"),
    "ParamValue": ("pipeline", "spec.tasks.params"),
    "Binding": ("pipeline", "spec.tasks.workspaces"),
    "When": ("pipeline", "spec.tasks.when"),
    "Matrix": ("pipeline", "spec.tasks.matrix"),
    "MatrixInclude": ("pipeline", "spec.tasks.matrix.include"),
    "EmbeddedTask": ("pipeline", "spec.tasks.taskSpec"),
    "EmbeddedMetadata": ("pipeline", "spec.tasks.taskSpec.metadata"),
    "TaskSpec": ("task", "spec"),
    "Param": ("task", "spec.params"),
    "Property": ("task", "spec.params.properties"),
    "TaskWorkspace": ("task", "spec.workspaces"),
    "TaskResult": ("task", "spec.results"),
    "StepTemplate": ("task", "spec.stepTemplate"),
    "Step": ("task", "spec.steps"),
    "StepRef": ("task", "spec.steps.ref"),
    "StepResult": ("task", "spec.steps.results"),
    "StepWorkspace": ("task", "spec.steps.workspaces"),
    "OutputConfig": ("task", "spec.steps.stdoutConfig"),
    "Sidecar": ("task", "spec.sidecars"),
    "ComputeResources": ("task", "spec.steps.computeResources"),
    "Claim": ("task", "spec.steps.computeResources.claims"),
    "SecurityContext": ("task", "spec.steps.securityContext"),
    "Capabilities": ("task", "spec.steps.securityContext.capabilities"),
    "Profile": ("task", "spec.steps.securityContext.seccompProfile"),
    "VolumeMount": ("task", "spec.steps.volumeMounts"),
    "VolumeDevice": ("task", "spec.steps.volumeDevices"),
    "EnvVar": ("task", "spec.steps.env"),
    "EnvFrom": ("task", "spec.steps.envFrom"),
    "OptionalRef": ("task", "spec.steps.envFrom.secretRef"),
    "EnvSource": ("task", "spec.steps.env.valueFrom"),
    "KeyRef": ("task", "spec.steps.env.valueFrom.secretKeyRef"),
    "FieldRef": ("task", "spec.steps.env.valueFrom.fieldRef"),
    "ResourceFieldRef": ("task", "spec.steps.env.valueFrom.resourceFieldRef"),
    "FileKeyRef": ("task", "spec.steps.env.valueFrom.fileKeyRef"),
    "Volume": ("task", "spec.volumes"),
    "EmptyDir": ("task", "spec.volumes.emptyDir"),
}


def properties(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an object, or of the items of a list or mapping, in Tekton's schema."""
    while "properties" not in schema:
        inner = schema.get("items") or schema.get("additionalProperties")
        schema = inner or root["$defs"][schema["$ref"].rpartition("/")[2]]
    found: dict[str, Any] = schema["properties"]
    return found


def problems(value: Any, kind: str, **refused: dict[str, str]) -> list[str]:
    return [str(problem) for problem in field_problems(Node(value, "f"), kind, refused)]


def place(kind: str) -> dict[str, Any]:
    """Return the fields of a type as Tekton's schemas list them."""
    directory = os.environ.get("TEKTON_SCHEMAS")
    if not directory:
        pytest.skip("TEKTON_SCHEMAS names no directory with Tekton's JSON schemas")
    name, path = PLACES[kind]
    root = json.loads(Path(directory, f"{name}.json").read_text())
    found = properties(root, root)
    for part in path.split("."):
        found = properties(found[part], root)
    return found


@pytest.mark.parametrize("kind", PLACES)
def test_every_field_of_the_list_is_a_field_of_tekton(kind: str) -> None:
    assert {field.removesuffix("!") for field in field_types()[kind]} <= place(kind).keys()


def schema_of(kind: str) -> str:
    """Return what JSON Schema calls a type of the list; of some it has more than one."""
    if kind.startswith("["):
        return "array"
    if kind.startswith("{") or kind in field_types():
        return "object"
    return {"boolean": "boolean", "count": "integer"}.get(kind, "string")


@pytest.mark.parametrize("kind", PLACES)
def test_every_type_of_the_list_is_that_of_tekton(kind: str) -> None:
    open_to_any = {"value", "any", "quantity"}  # their schemas name several types
    for field, listed in field_types()[kind].items():
        schema = place(kind)[field.removesuffix("!")]
        if listed not in open_to_any and "enum" not in schema:
            assert schema_of(listed) in schema.get("type", "object"), field


def test_every_type_of_the_list_has_a_place_in_tektons_schemas() -> None:
    whole = {"Pipeline", "Task", "StringParam"}  # the last is a ParamValue with text alone
    assert field_types().keys() - PLACES.keys() == whole


def test_every_type_of_a_field_is_in_the_list_or_is_a_scalar() -> None:
    kinds = field_types()
    used = {t.strip("[]{}") for kind in kinds.values() for t in kind.values() if "|" not in t}

    assert {name for name in used if name[0].isupper()} <= kinds.keys()


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
        ("name", "Good_Task", "'Good_Task' is not a valid name: use lower-case letters, digits"),
        ("labelValue", "a b", "'a b' is not the value of a label"),
        ("quantity", "4 GB", "'4 GB' is not a quantity such as 500m or 4Gi"),
        ("Metadata", {"name": "a", "labels": {"b": 1}}, "labels.b: must be a string, not a number"),
        ("SecurityContext", {"runAsNonRot": True}, "'runAsNonRot': did you mean runAsNonRoot?"),
        ("SecurityContext", {"runAsNonRoot": "true"}, "must be true or false, not a string"),
        ("Step", {"image": 5}, "image: must be a string, not a number: put it in quotes"),
        (
            "Task",
            {
                "apiVersion": "",
                "kind": "",
                "metadata": {"name": "a"},
                "spec": {"steps": [], "description": 5},
            },
            "spec.description: must be a string, not a number",
        ),
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
        ("quantity", "1.5Gi"),
        ("quantity", 1),
        ("labelValue", ""),
        ("name", "a.b-c"),
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
