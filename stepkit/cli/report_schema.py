"""The JSON Schema of the reports that stepkit writes, from the types of every step.

:mod:`stepkit.report.read_step_reports` reads with a looser one what other versions wrote, too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from stepkit.cli import commands, step_report, tekton_results
from stepkit.errors import Reason
from stepkit.options import declared
from stepkit.step import StepResult, kebab

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from stepkit.step import Step

_ATOMS: Final = {
    str: "string", Path: "string", int: "integer", float: "number", bool: "boolean",
    NoneType: "null",
}  # fmt: skip
_EARLIER: Final = {
    "type": ["object", "null"],
    "description": "The run of the same command that wrote this report before.",
    "required": ["runs", "started", "status", "reason", "ended"],
    "properties": {
        "runs": {"type": "integer"},
        "started": {"type": "string"},
        "status": {"type": "string"},
        "reason": {"type": "string"},
        "ended": {"type": "boolean"},
    },
}
_ARTIFACTS: Final = {
    "type": "array",
    "description": "Files among the outputs; size is bytes.",
    "items": {
        "type": "object",
        "required": ["path", "size", "sha256"],
        "properties": {
            "path": {"type": "string"},
            "size": {"type": "integer"},
            "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        },
    },
}
_HELP: Final = {
    "step": 'the command; "" where the arguments name none',
    "status": "how it ended",
    "reason": "why, in one word",
    "message": "why, in one sentence",
    "exit_code": "of the process; null if the step was killed",
    "started": "ISO-8601 time in UTC with milliseconds",
    "seconds": "wall-clock time from started to the end",
    "error": "what shows why it failed, where more than the message is known",
    "place": "where it failed",
    "options": "the options of the step, without secrets",
    "outputs": "what the step made; {} of a step that did not end by itself",
    "versions": "of stepkit, Python and the tools that the step used",
}


def schema() -> dict[str, Any]:
    """Return the schema; every step is imported for it."""
    definitions: dict[str, Any] = {}
    properties: dict[str, Any] = {"schema": {"const": step_report.SCHEMA}}
    hints = get_type_hints(StepResult)
    for field in dataclasses.fields(StepResult):
        properties[field.name] = _schema(hints[field.name], definitions)
        if field.name in _HELP:
            properties[field.name]["description"] = _HELP[field.name]
    properties |= {
        "reason": {"enum": list(Reason), "description": _HELP["reason"]},
        "earlier": _EARLIER,
        "artifacts": _ARTIFACTS,
        "versions": {"type": "object", "additionalProperties": {"type": "string"}},
    }
    version = step_report.SCHEMA.removeprefix("stepkit.").replace("/", ":")
    for name, step in commands.COMMANDS.items():
        definitions[name] = _of_step(step, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:stepkit:schema:{version}",
        "title": f"Report of one step, {step_report.SCHEMA}",
        "description": "What --report writes, and --json prints.",
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "allOf": [
            {
                "if": {"properties": {"step": {"const": name}}},
                "then": {"$ref": f"#/$defs/{name}"},
            }
            for name in commands.COMMANDS
        ],
        "$defs": definitions,
    }


def _of_step(step: Step, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return what options and outputs of one step look like; each may be missing."""
    options = [option for option in declared(step.Options) if not option.secret]
    outputs = [
        output
        for output in declared(step.Outputs)
        if kebab(output.field.name) not in tekton_results.COMMON_OUTPUTS
    ]
    found = {}
    for part, fields in (("options", options), ("outputs", outputs)):
        properties = {}
        for each in fields:
            properties[kebab(each.field.name)] = _schema(each.hint, definitions)
            properties[kebab(each.field.name)]["description"] = each.help
        found[part] = {"type": "object", "properties": properties}
    return {"properties": found}


def _schema(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of what :func:`stepkit.cli.tekton_results.jsonable` makes of a type."""
    origin, args = get_origin(hint), get_args(hint)
    if hint in _ATOMS:
        found: dict[str, Any] = {"type": _ATOMS[hint]}
    elif origin in {UnionType, Union}:
        parts = [_schema(arg, definitions) for arg in args]
        plain = all(list(part) == ["type"] for part in parts)
        found = {"type": [part["type"] for part in parts]} if plain else {"anyOf": parts}
    elif origin is Literal:
        found = {"enum": list(args)}
    elif origin in {tuple, list, Sequence}:
        found = {"type": "array", "items": _schema(args[0], definitions)}
    elif origin in {dict, Mapping}:
        found = {"type": "object", "additionalProperties": _schema(args[1], definitions)}
    elif isinstance(hint, type) and issubclass(hint, Enum):
        found = {"enum": [member.value for member in hint]}
    elif dataclasses.is_dataclass(hint) and isinstance(hint, type):
        found = {"$ref": f"#/$defs/{_defined(hint, definitions)}"}
    elif hint is Any:
        found = {}
    else:
        raise TypeError(f"no schema for {hint}")
    return found


def _defined(kind: type[DataclassInstance], definitions: dict[str, Any]) -> str:
    """Define a dataclass once, and return its name."""
    if kind.__name__ not in definitions:
        definition: dict[str, Any] = {"type": "object"}
        definitions[kind.__name__] = definition
        hints = get_type_hints(kind)
        names = [field.name for field in dataclasses.fields(kind)]
        definition["description"] = (kind.__doc__ or "").partition("\n")[0]
        definition["required"] = names
        definition["properties"] = {name: _schema(hints[name], definitions) for name in names}
    return kind.__name__
