"""run.json has one shape: that of the typed dictionaries, and that of the published schema."""

import json
from types import ModuleType
from typing import Any, is_typeddict

import pytest
from run_records import SCHEMA

from stepkit.report import run_json, run_json_comparison, run_json_notebook

DEFINITIONS: dict[str, Any] = json.loads(SCHEMA.read_text())["$defs"]
KINDS = [
    pytest.param(kind, id=name)
    for module in (run_json, run_json_notebook, run_json_comparison)
    for name, kind in vars(module).items()
    if is_typeddict(kind)
]


@pytest.mark.parametrize("kind", KINDS)
def test_each_object_has_the_same_keys_in_python_and_in_the_schema(kind: type) -> None:
    schema = DEFINITIONS.get(kind.__name__) or json.loads(SCHEMA.read_text())

    assert list(kind.__annotations__) == list(schema["properties"])
    added = [name for name, given in schema["properties"].items() if "default" in given]
    assert schema["required"] == [name for name in schema["properties"] if name not in added]


def test_the_schema_describes_no_object_that_python_lacks() -> None:
    modules: list[ModuleType] = [run_json, run_json_notebook, run_json_comparison]

    assert {name for name in DEFINITIONS if not any(hasattr(m, name) for m in modules)} == set()
