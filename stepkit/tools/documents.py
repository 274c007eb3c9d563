"""Files of YAML that people write for stepkit: read strictly, checked against a JSON Schema."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError, Reason
from stepkit.tools import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_TYPES: Final = {"null", "bool", "int", "float", "str", "seq", "map", "merge"}
_KINDS: Final = {
    "array": "a list", "object": "a mapping", "string": "a text", "boolean": "true or false",
    "integer": "a whole number", "number": "a number", "null": "empty",
}  # fmt: skip
_SHOWN: Final = 60  # characters of a wrong value
_DEEPEST: Final = 64  # levels
_MOST: Final = 100_000  # values, those that aliases repeat included


def read(path: Path) -> Any:
    """Return the one document of a YAML file, in the types of JSON; dates stay text.

    Raises :class:`ConfigurationError` when there is no such file, when it is no YAML, or when a
    key stands in one mapping twice.
    """
    if not path.exists():
        raise ConfigurationError(
            f"there is no file {path}{files.near_names(path)}", reason=Reason.NOT_FOUND
        )
    import yaml

    try:
        document = yaml.load(files.read(path).decode(), _loader())  # noqa: S506 - a SafeLoader
        _check_extent(document)
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is no UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise ConfigurationError(f"{path}, line {line}: no valid YAML: {error.problem}") from error
    except RecursionError as error:
        raise ConfigurationError(f"{path}: no valid YAML: it is nested too deeply") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        first = str(error).partition("\n")[0]
        raise ConfigurationError(f"{path}: no valid YAML: {first}") from error
    return document


def written(values: Mapping[str, Any]) -> str:
    """Return YAML that any reader takes for the same values; nothing for an empty mapping."""
    if not values:
        return ""
    import yaml

    return yaml.safe_dump(dict(values), default_flow_style=True, width=2**31, sort_keys=False)


def _loader() -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
            seen = set()
            for key, _ in node.value:
                name = key.value if isinstance(key, yaml.ScalarNode) else None
                if key.tag not in {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}:
                    problem = f"the key {name or '?'} is no text: put it in quotes"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                if name in seen:
                    problem = f"{name!r} stands here twice"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(name)
            return super().construct_mapping(node, deep)

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in pairs if tag.rpartition(":")[2] in _TYPES]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader


def _check_extent(value: Any) -> None:
    """Refuse what no reader ends with: aliases that hold themselves or multiply."""
    level, depth, count = [value], 0, 0
    while level:
        depth, count = depth + 1, count + len(level)
        if depth > _DEEPEST:
            raise RecursionError
        if count > _MOST:
            raise ValueError(f"it holds more than {_MOST} values")
        for text in (entry for entry in level if isinstance(entry, str)):
            _check_text(text)
        level = [
            item
            for entry in level
            if isinstance(entry, list | dict)
            for item in ((*entry, *entry.values()) if isinstance(entry, dict) else entry)
        ]


def _check_text(text: str) -> None:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{text!a} holds a NUL byte or half a character")


def check(document: Any, schema: Mapping[str, Any], source: Path) -> None:
    """Check ``document`` against ``schema``.

    Raises :class:`ConfigurationError` that names the first place where it does not fit, and for
    an unknown key the one that it may have meant.
    """
    import jsonschema  # type: ignore[import-untyped]  # its stubs are no dependency of ours

    found = list(jsonschema.Draft202012Validator(schema).iter_errors(document))
    if found:
        # An unknown key explains more than what is missing because of it.
        found.sort(key=lambda e: (list(map(str, e.absolute_path)), e.validator != _UNKNOWN))
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise ConfigurationError(f"{source}: {_problem(found[0])}{more}")


_UNKNOWN: Final = "additionalProperties"


def _problem(error: Any) -> str:
    where = _place(error.absolute_path)
    wrong: Any = _PROBLEMS.get(error.validator)
    what = wrong(error) if wrong else f"is wrong: {error.message[: 2 * _SHOWN]}"
    return f"{where or 'the file'} {what}"


def _unknown(error: Any) -> str:
    known = error.schema.get("properties", {})
    name = next(key for key in error.instance if key not in known)
    return f"has an unknown key {name!r}{did_you_mean(name, known)}"


def _without(error: Any) -> str:
    return f"has no {next(name for name in error.validator_value if name not in error.instance)!r}"


def _half(error: Any) -> str:
    key, missing = next(
        (key, name)
        for key, names in error.validator_value.items()
        for name in names
        if key in error.instance and name not in error.instance
    )
    return f"has {key!r} without {missing!r}"


def _mistyped(error: Any) -> str:
    wanted = error.validator_value
    kinds = [wanted] if isinstance(wanted, str) else wanted
    return f"must be {' or '.join(_KINDS[kind] for kind in kinds)}, not {_shown(error)}"


def _misspelt(error: Any) -> str:
    why = error.schema.get("description") or error.validator_value
    return f"cannot be {_shown(error)}: {why}"


_PROBLEMS: Final = {
    _UNKNOWN: _unknown,
    "required": _without,
    "dependentRequired": _half,
    "type": _mistyped,
    "pattern": _misspelt,
    "minLength": lambda _: "is empty",
    "minItems": lambda _: "is an empty list",
}


def _shown(error: Any) -> str:
    if error.instance is None:
        return "empty"
    text = ascii(error.instance)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _place(path: Iterable[str | int]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Name what ``word`` may have meant, or everything it could have been."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f": did you mean {near[0]}?"
    return f" (known: {', '.join(names)})" if names else ""
