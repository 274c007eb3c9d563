"""The YAML against Tekton's own schemas, where they are at hand, and Kubernetes'."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from kubernetes_validate.utils import ValidationError, validate
from tasks.manifests import Manifest, manifests

KINDS = ("Task", "StepAction", "Pipeline", "PipelineRun", "TaskRun")
OWN = ("tekton.dev/", "triggers.tekton.dev/", "kustomize.config.k8s.io/", "monitoring.coreos.com/")
# Overlays contain parts of objects, which kustomize puts together.
CORE = [
    one
    for one in manifests()
    if not one.value["apiVersion"].startswith(OWN) and "overlays" not in one.path.parts
]


@cache
def validator(kind: str) -> Any:
    directory = os.environ.get("TEKTON_SCHEMAS")
    if not directory:
        pytest.skip("TEKTON_SCHEMAS names no directory with Tekton's JSON schemas")
    schema = json.loads(Path(directory, f"{kind.lower()}.json").read_text())
    return jsonschema.Draft202012Validator(schema)


def faults(kind: str, value: Any) -> list[str]:
    return [f"{e.json_path}: {e.message[:200]}" for e in validator(kind).iter_errors(value)]


@pytest.mark.parametrize("manifest", manifests(*KINDS), ids=lambda one: one.label)
def test_it_fits_the_schema_of_tekton(manifest: Manifest) -> None:
    assert faults(manifest.kind, manifest.value) == []


def test_a_field_that_tekton_does_not_know_is_found() -> None:
    (task,) = [one for one in manifests("Task") if one.name == "summarize"]

    assert faults("Task", {**task.value, "spec": {**task.spec, "resources": {}}}) != []


@pytest.mark.parametrize("manifest", CORE, ids=lambda one: one.label)
def test_it_fits_the_schema_of_kubernetes(manifest: Manifest) -> None:
    validate(manifest.value, "1.31", strict=True)


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "x"}}
    validate(account, "1.31", strict=True)

    with pytest.raises(ValidationError):
        validate({**account, "secret": []}, "1.31", strict=True)
