"""Validate a document by its JSON Schema and describe what is wrong in plain words."""

from __future__ import annotations

import copy
import json
import logging
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError, Evidence
from stepkit.formats.did_you_mean import did_you_mean
from stepkit.formats.shorten import shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

_KINDS: Final = {
    "array": "a list", "object": "a mapping", "string": "text", "boolean": "true or false",
    "integer": "a whole number", "number": "a number", "null": "null",
}  # fmt: skip
_SHOWN: Final = 40  # characters of a wrong value that a message shows

_MOST_PROBLEMS: Final = 20  # that are shown besides the first
_MORE: Final = "additionalProperties"

Keys = tuple[str | int, ...]


def find_problems(value: Any, schema: Path) -> list[tuple[Keys, str]]:
    """Return the keys and a description of each place where ``value`` does not fit ``schema``.

    ``schema`` is the path of the JSON Schema. The places are in order. The schema can have its own
    message under ``errorMessage`` or ``patternErrorMessage``, which editors show as well.
    """
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(_read(schema))
    found = [_innermost(error) for error in validator.iter_errors(value)]
    # An unknown key explains more than what is missing because of it.
    found.sort(key=lambda e: ([str(key).zfill(9) for key in e.absolute_path], e.validator != _MORE))
    return [(tuple(error.absolute_path), _describe(error)) for error in found]


def add_defaults(value: Any, schema: Path) -> None:
    """Give each object in ``value`` the properties that it lacks and that have a default.

    So a document can be read that was written before its ``schema`` (the path of a JSON Schema)
    had them.
    """
    whole = _read(schema)
    _add_defaults(value, whole, whole.get("$defs", {}))


@cache
def _read(schema: Path) -> dict[str, Any]:
    """Return a schema of the package; an index reads as many records as there are runs."""
    found: dict[str, Any] = json.loads(schema.read_text(encoding="utf-8"))
    return found


def _add_defaults(value: Any, schema: Any, definitions: dict[str, Any]) -> None:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].removeprefix("#/$defs/")]
    for branch in schema.get("anyOf", ()):
        _add_defaults(value, branch, definitions)
    if isinstance(value, dict):
        for name, property_ in schema.get("properties", {}).items():
            if name not in value and "default" in property_:
                value[name] = copy.copy(property_["default"])
            elif name in value:
                _add_defaults(value[name], property_, definitions)
    elif isinstance(value, list) and "items" in schema:
        for item in value:
            _add_defaults(item, schema["items"], definitions)


def refusal(problems: Sequence[str]) -> ConfigurationError:
    """Return the error for a document with these ``problems``, each with its place.

    The first one is its message, the others are its evidence, and are logged.
    """
    first, *others = problems
    more = f" (and {len(others)} more)" if others else ""
    shown = tuple(others[:_MOST_PROBLEMS])
    for problem in shown:
        logger.error("also wrong: %s", problem)
    return ConfigurationError(first + more, evidence=Evidence(output=shown) if shown else None)


def _innermost(error: Any) -> Any:
    """Follow an error into the branch that was meant: the one with fewest mistakes at its root."""
    while error.validator in {"oneOf", "anyOf"} and error.context and not _own_message(error):
        branches = defaultdict(list)
        for inner in error.context:
            branches[inner.relative_schema_path[0]].append(inner)
        best = min(branches.values(), key=lambda found: sum(not e.relative_path for e in found))
        error = next((e for e in best if e.relative_path), best[0])
    return error


def _describe(error: Any) -> str:
    given, wanted = error.instance, error.validator_value
    if error.validator == _MORE:
        known = error.schema.get("properties", {})
        wrong = next(key for key in given if key not in known)
        return f"has an unknown key {wrong!r}{did_you_mean(wrong, known)}"
    if error.validator == "dependentRequired":
        pairs = ((key, need) for key in wanted if key in given for need in wanted[key])
        return "has {} without {}".format(*next(pair for pair in pairs if pair[1] not in given))
    if error.validator == "pattern":
        be = "have the key" if "propertyNames" in error.relative_schema_path else "be"
        why = error.schema.get("patternErrorMessage") or error.schema["pattern"]
        return f"cannot {be} {preview(given)}: {why}"
    if error.validator == "type":
        kinds = (_KINDS[kind] for kind in ([wanted] if isinstance(wanted, str) else wanted))
        return f"must be {' or '.join(kinds)}, not {preview(given)}"
    messages: dict[str, Callable[[], str]] = {
        "required": lambda: f"needs {' and '.join(key for key in wanted if key not in given)}",
        "minimum": lambda: f"must be at least {wanted}, not {given}",
        "minLength": lambda: "must not be empty",
        "minItems": lambda: "must not be empty",
        "minProperties": lambda: "must not be empty",
        "maxProperties": lambda: f"must be one of {', '.join(error.schema['properties'])}",
        "const": lambda: f"{_own_message(error) or f'must be {wanted}'}, not {preview(given)}",
    }
    if error.validator in messages:
        return messages[error.validator]()
    return _own_message(error) or str(error.message)


def _own_message(error: Any) -> str:
    return str(error.schema.get("errorMessage", ""))


def preview(value: Any) -> str:
    """Return the beginning of a wrong value, in one line."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return shorten(text if text.isprintable() else json.dumps(value, default=str), _SHOWN)
