"""Validate a rules file against its JSON Schema and say in plain words what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stepkit.formats import did_you_mean, json_schema
from stepkit.rules import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepkit.formats.json_schema import Keys

KINDS: Final = ("set", "replace", "skip", "inject")


def find_problems(value: Any) -> list[tuple[Keys, str]]:
    """Return the keys of each wrong value in ``value``, and what is wrong with it."""
    found = list(_wrong_kinds(value)) if isinstance(value, dict) else []
    explained = [keys for keys, _ in found]
    return found + [
        (keys, why)
        for keys, why in json_schema.find_problems(value, SCHEMA)
        if not any(keys[: len(rule)] == rule for rule in explained)
    ]


def name_place(keys: Sequence[str | int]) -> str:
    """Name the value under ``keys``: ``variant lite, rule 2, expect``."""
    words, rest = [], list(keys)
    if rest[:1] == ["variants"] and len(rest) > 1:
        words, rest = [f"variant {rest[1]}"], rest[2:]
    titles = {"rules": "rule", "tolerate": "tolerate", "hooks": "hook"}
    if len(rest) > 1 and rest[0] in titles and isinstance(rest[1], int):
        words, rest = [*words, f"{titles[str(rest[0])]} {rest[1] + 1}"], rest[2:]
    return ", ".join([*words, *(f"{k + 1}." if isinstance(k, int) else k for k in rest)])


def _wrong_kinds(value: dict[str, Any]) -> Iterator[tuple[Keys, str]]:
    """Yield the rules with no kind or with two: the schema's own messages would be unclear."""
    lists: list[tuple[Keys, Any]] = [(("rules",), value.get("rules"))]
    variants = value.get("variants")
    for name, variant in variants.items() if isinstance(variants, dict) else ():
        if isinstance(variant, dict):
            lists.append((("variants", name, "rules"), variant.get("rules")))
    for keys, rules in lists:
        for number, rule in enumerate(rules if isinstance(rules, list) else ()):
            kinds = [key for key in KINDS if isinstance(rule, dict) and key in rule]
            if not isinstance(rule, dict):
                yield (*keys, number), f"must be a mapping, not {json_schema.preview(rule)}"
            elif len(kinds) > 1:
                yield (*keys, number), f"is both {' and '.join(kinds)}: write one rule for each"
            elif not kinds:
                near = next(filter(None, (did_you_mean.nearest(key, KINDS) for key in rule)), "")
                hint = f" (did you mean {near}?)" if near else ""
                yield (*keys, number), f"has none of {', '.join(KINDS)}{hint}"
