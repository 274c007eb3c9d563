"""The outputs of a step come out of its report as the step returned them."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from stepkit.api import read_result
from stepkit.cli import step_report
from stepkit.errors import Evidence, Place, Reason
from stepkit.step import StepResult
from stepkit.steps import STEPS


def example(hint: Any) -> Any:
    """Make a value of a type, all of its fields filled."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        return example(next(kind for kind in arguments if kind is not NoneType))
    if origin is Literal:
        return arguments[-1]
    if origin is tuple:
        return tuple(map(example, arguments[:1] * 2 if arguments[-1] is ... else arguments))
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return hint(**{name: example(kind) for name, kind in _fields(hint)})
    if isinstance(hint, type) and issubclass(hint, Enum):
        return next(iter(hint))
    hint = origin or hint
    return {
        Mapping: {"a": 1},
        Path: Path("/a/b"),
        str: "text",
        int: 3,
        float: 1.5,
        bool: True,
        Any: [1],
    }[hint]


def _fields(cls: Any) -> Iterator[tuple[str, Any]]:
    hints = get_type_hints(cls)
    return ((field.name, hints[field.name]) for field in dataclasses.fields(cls))


@pytest.mark.parametrize("name", STEPS)
def test_each_output_has_the_value_that_the_step_returned(name: str, tmp_path: Path) -> None:
    cls = STEPS[name].Outputs
    returned = example(cls)
    outputs = {field.name.replace("_", "-"): getattr(returned, field.name)
               for field in dataclasses.fields(returned)}  # fmt: skip
    result = StepResult(
        step=name, started="2026-11-30T16:00:00.000+00:00", seconds=1.5, outputs=outputs,
        message="text", status="flaky", error=Evidence(ename="E", output=("a",)),
        place=Place(title="cell 1"), reason=Reason.OK,
    )  # fmt: skip
    if "status" in outputs:
        result = dataclasses.replace(result, status=outputs["status"])
    path = tmp_path / "a.json"
    path.write_text(json.dumps(step_report.as_json(result, ())))

    read, typed = read_result.read(path, cls)

    assert typed == returned
    common = {"status", "reason", "message"}
    assert read.outputs == {key: value for key, value in outputs.items() if key not in common}
    assert dataclasses.replace(read, outputs={}) == dataclasses.replace(result, outputs={})


def test_a_step_that_left_no_outputs_has_none(tmp_path: Path) -> None:
    begun = "2026-11-30T16:00:00.000+00:00"
    result = StepResult(step="git-clone", status="failed", started=begun, seconds=0)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(step_report.as_json(result, ())))

    read, typed = read_result.read(path, STEPS["git-clone"].Outputs)

    assert (read, typed) == (result, None)
