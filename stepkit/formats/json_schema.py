"""Whether a document fits its JSON Schema, told in words for the people who wrote it."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from stepkit.formats.did_you_mean import did_you_mean
from stepkit.formats.shorten import shorten

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_KINDS: Final = {
    "array": "a list", "object": "a mapping", "string": "text", "boolean": "true or false",
    "integer": "a whole number", "number": "a number", "null": "null",
}  # fmt: skip
_SHOWN: Final = 40  # characters of a wrong value that a message shows

Keys = tuple[str | int, ...]


def problems(value: Any, schema: Path) -> list[tuple[Keys, str]]:
    """Return where ``value`` does not fit the schema in the file ``schema``, and what is wrong.

    They are sorted by their place. A schema may say itself what is wrong, in the words that
    editors show, too: ``errorMessage``, ``patternErrorMessage``.
    """
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))
    found = [_leaf(error) for error in validator.iter_errors(value)]
    # An unknown key explains more than what is missing because of it.
    found.sort(key=lambda e: ([str(key).zfill(9) for key in e.absolute_path], e.validator != _MORE))
    return [(tuple(error.absolute_path), _told(error)) for error in found]


_MORE: Final = "additionalProperties"


def _leaf(error: Any) -> Any:
    """Follow an error into the branch that was meant: the one with fewest mistakes at its root."""
    while error.validator in {"oneOf", "anyOf"} and error.context and not _own(error):
        branches = defaultdict(list)
        for inner in error.context:
            branches[inner.relative_schema_path[0]].append(inner)
        best = min(branches.values(), key=lambda found: sum(not e.relative_path for e in found))
        error = next((e for e in best if e.relative_path), best[0])
    return error


def _own(error: Any) -> str:
    return str(error.schema.get("errorMessage", ""))


def _told(error: Any) -> str:
    given, wanted = error.instance, error.validator_value
    words: dict[str, Callable[[], str]] = {
        _MORE: lambda: _unknown(given, error.schema.get("properties", {})),
        "type": lambda: f"must be {_kinds(wanted)}, not {shown(given)}",
        "required": lambda: f"needs {' and '.join(key for key in wanted if key not in given)}",
        "dependentRequired": lambda: _half(given, wanted),
        "minimum": lambda: f"must be at least {wanted}, not {given}",
        "minLength": lambda: "must not be empty",
        "minItems": lambda: "must not be empty",
        "minProperties": lambda: "must not be empty",
        "maxProperties": lambda: f"must be one of {', '.join(error.schema['properties'])}",
        "const": lambda: f"{_own(error) or f'must be {wanted}'}, not {shown(given)}",
        "pattern": lambda: f"cannot {_be(error)} {shown(given)}: {_reason(error.schema)}",
    }
    if error.validator in words:
        return words[error.validator]()
    return _own(error) or str(error.message)


def _kinds(wanted: str | list[str]) -> str:
    return " or ".join(_KINDS[kind] for kind in ([wanted] if isinstance(wanted, str) else wanted))


def _half(given: dict[str, Any], wanted: dict[str, list[str]]) -> str:
    missing = ((key, n) for key in wanted if key in given for n in wanted[key] if n not in given)
    return "has {} without {}".format(*next(missing))


def _unknown(given: dict[str, Any], known: dict[str, Any]) -> str:
    wrong = next(key for key in given if key not in known)
    return f"has an unknown key {wrong!r}{did_you_mean(wrong, known)}"


def _be(error: Any) -> str:
    return "have the key" if "propertyNames" in error.relative_schema_path else "be"


def _reason(schema: dict[str, Any]) -> str:
    return str(schema.get("patternErrorMessage") or schema["pattern"])


def shown(value: Any) -> str:
    """Return the beginning of a wrong value, in one line."""
    text = json.dumps(value, ensure_ascii=False)
    text = text if text.isprintable() else json.dumps(value)
    return shorten(text, _SHOWN)
