"""Whether a rules file has the right shape, by its JSON Schema, told in words for people."""

from __future__ import annotations

import difflib
import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SCHEMA: Final = Path(__file__).with_name("schema.json")

KINDS: Final = ("set", "replace", "skip", "inject")
_TYPES: Final = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
}
_SHOWN: Final = 40  # characters of a wrong value that a message shows

Keys = tuple[str | int, ...]


def problem(value: Any) -> tuple[Keys, str] | None:
    """Return where in ``value`` the first mistake is, and what it is, or None."""
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it has no types

    if isinstance(value, dict) and (found := next(_wrong_kinds(value), None)):
        return found
    validator = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    errors = [_leaf(error) for error in validator.iter_errors(value)]
    if not errors:
        return None
    first = min(errors, key=lambda error: [str(key).zfill(9) for key in error.absolute_path])
    return tuple(first.absolute_path), _told(first)


def told(keys: Sequence[str | int]) -> str:
    """Name the place under ``keys``: ``variant lite, rule 2, expect``."""
    words, rest = [], list(keys)
    if rest[:1] == ["variants"] and len(rest) > 1:
        words, rest = [f"variant {rest[1]}"], rest[2:]
    titles = {"rules": "rule", "tolerate": "tolerate", "hooks": "hook"}
    if len(rest) > 1 and rest[0] in titles and isinstance(rest[1], int):
        words, rest = [*words, f"{titles[str(rest[0])]} {rest[1] + 1}"], rest[2:]
    return ", ".join([*words, *(f"{k + 1}." if isinstance(k, int) else k for k in rest)])


def _wrong_kinds(value: dict[str, Any]) -> Iterator[tuple[Keys, str]]:
    """Yield the rules that are of no kind or of two: a schema cannot say so clearly."""
    lists: list[tuple[Keys, Any]] = [(("rules",), value.get("rules"))]
    variants = value.get("variants")
    for name, variant in variants.items() if isinstance(variants, dict) else ():
        if isinstance(variant, dict):
            lists.append((("variants", name, "rules"), variant.get("rules")))
    for keys, rules in lists:
        for number, rule in enumerate(rules if isinstance(rules, list) else ()):
            kinds = [key for key in KINDS if isinstance(rule, dict) and key in rule]
            if not isinstance(rule, dict):
                yield (*keys, number), f"must be a mapping, not {_shown(rule)}"
            elif len(kinds) > 1:
                yield (*keys, number), f"is both {' and '.join(kinds)}: write one rule for each"
            elif not kinds:
                near = [m for key in rule for m in difflib.get_close_matches(key, KINDS, n=1)]
                hint = f" (did you mean {near[0]}?)" if near else ""
                yield (*keys, number), f"has none of {', '.join(KINDS)}{hint}"


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
        "additionalProperties": lambda: _unknown(given, list(error.schema["properties"])),
        "type": lambda: f"must be {_TYPES[wanted]}, not {_shown(given)}",
        "required": lambda: f"needs {' and '.join(key for key in wanted if key not in given)}",
        "minimum": lambda: f"must be at least {wanted}, not {given}",
        "minLength": lambda: "must not be empty",
        "minProperties": lambda: "must not be empty",
        "maxProperties": lambda: f"must be one of {', '.join(error.schema['properties'])}",
        "const": lambda: (
            f"must be a selector such as {{index: 1}}, or {wanted}, not {_shown(given)}"
        ),
        "pattern": lambda: f"{given!r}: {error.schema['patternErrorMessage']}",
    }
    if error.validator in words:
        return words[error.validator]()
    return _own(error) or str(error.message)


def _unknown(given: dict[str, Any], known: list[str]) -> str:
    wrong = next(key for key in given if key not in known)
    near = difflib.get_close_matches(wrong, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
    return f"has an unknown key {wrong!r}: {hint}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
