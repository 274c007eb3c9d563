"""Spell the options of a step, as a Python program gives them, for its command line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any, get_origin

from stepkit.errors import ConfigurationError
from stepkit.formats import yaml_files
from stepkit.formats.did_you_mean import did_you_mean
from stepkit.options import declared
from stepkit.step import kebab

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from stepkit.options import Declared


def spell(cls: type[DataclassInstance], options: Mapping[str, Any]) -> list[str]:
    """Return the flags for ``options``; secrets are left out, as is None.

    Each value follows ``=``, so that a value that begins with a dash is not taken for a flag.
    Raises :class:`ConfigurationError` for a name that ``cls`` does not have, for one that is
    missing, and for a value that no flag can take.
    """
    known = {option.field.name: option for option in declared(cls)}
    for name in options:
        if name not in known:
            raise ConfigurationError(f"there is no option {name}{did_you_mean(name, known)}")
    for name, option in known.items():
        if option.required and (options.get(name) is None or options[name] == ""):
            raise ConfigurationError(f"the option {name} is missing: {option.help}")
    words: list[str] = []
    for name, value in options.items():
        if isinstance(value, Mapping) and f"{name}_yaml" in known:
            words.append(f"--{name}-yaml={_yaml(name, value)}")
        elif value is not None and not known[name].secret:
            words += _flags(known[name], value)
    return words


def variables(
    cls: type[DataclassInstance], options: Mapping[str, Any], *, inherited: bool
) -> dict[str, str | None]:
    """Return the variables that hold the secrets among ``options``.

    One that is not given is None, unless secrets may be ``inherited`` from the environment or the
    notebook reads data with it.
    """
    found: dict[str, str | None] = {}
    for option in declared(cls):
        if not option.secret:
            continue
        value = options.get(option.field.name)
        if value is not None and not isinstance(value, str):
            raise ConfigurationError(f"the option {option.field.name} is not text")
        if value:
            found[option.secret.variable] = value
        elif not inherited and not option.secret.left:
            found[option.secret.variable] = None
    return found


def _yaml(name: str, values: Mapping[Any, Any]) -> str:
    """Spell ``{name: value}`` so that each value keeps its type."""
    try:
        json.dumps(values)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"the option {name} holds what YAML does not: {error}") from error
    return yaml_files.dump(values)


def _flags(option: Declared, value: object) -> list[str]:
    name = option.field.name
    items: Iterable[object] = [value]
    if isinstance(value, Iterable) and not isinstance(value, str | os.PathLike):
        if get_origin(option.hint) is not tuple or isinstance(value, Mapping | bytes):
            kind = type(value).__name__
            raise ConfigurationError(f"the option {name} does not take a value of type {kind}")
        items = value
    return [f"--{kebab(name)}={_text(name, item)}" for item in items]


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Real):  # also numpy's numbers
        return str(value)
    if isinstance(value, str | os.PathLike):
        return os.fsdecode(value)
    kind = type(value).__name__
    raise ConfigurationError(f"the option {name} does not take a value of type {kind}")
