"""Read parameters as papermill does, and check that they reach the notebook's code."""

from __future__ import annotations

import ast
import base64
import binascii
import json
import keyword
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError
from stepkit.formats import did_you_mean
from stepkit.formats.shorten import shorten
from stepkit.notebook import python_source
from stepkit.redaction import MASK
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_SECRET_NAME: Final = re.compile(
    r"(?i)(?:token|password|passwd|passphrase|secret|credentials?|(?:api|access|private)_?key)$"
)
_LONGEST_SHOWN: Final = 1000  # characters of a value, as JSON
_MOST_VALUES: Final = 1_000_000  # of a text, with each alias written out
_WORDS: Final = {"True": True, "False": False, "None": None}


def join(
    first: Mapping[str, Any],
    *,
    base64_texts: Sequence[str],
    paths: Sequence[Path],
    yaml_texts: Sequence[str],
    guessed: Sequence[str],
    raw: Sequence[str],
) -> dict[str, Any]:
    """Join parameters from all flags in papermill's order: what comes later wins.

    Raises :class:`ConfigurationError` that names the flag.
    """
    sources = [
        first,
        *(from_base64(text, "--parameters-base64") for text in base64_texts),
        *(from_file(path) for path in paths),
        *(from_yaml(text, "--parameters-yaml") for text in yaml_texts),
        {name: guess(value) for name, value in pairs(guessed, "--parameters").items()},
        pairs(raw, "--parameters-raw"),
    ]
    given = {name: value for source in sources for name, value in source.items()}
    for name in given:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ConfigurationError(f"{name!r} cannot be the name of a parameter")
    for name, value in given.items():
        try:
            with suppress(ValueError, RecursionError):  # it holds itself: papermill fails later
                json.dumps(value, sort_keys=True, default=_from_bytes)
        except TypeError as error:  # sets, keys of several types
            raise ConfigurationError(
                f"the parameter {name!r} cannot be stored in a notebook: {error}"
            ) from error
    return given


def pairs(items: Sequence[str], flag: str) -> dict[str, str]:
    """Split ``NAME=VALUE`` items. Raises :class:`ConfigurationError` that names ``flag``."""
    split = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or not name.isidentifier():
            raise ConfigurationError(f"{flag} {item!r} is not NAME=VALUE")
        split[name] = value
    return split


def guess(text: str) -> Any:
    """Read a value as papermill's ``--parameters`` does: a word, an int, a float, else text."""
    if text in _WORDS:
        return _WORDS[text]
    for number in (int, float):
        with suppress(ValueError):
            return number(text)
    return text


def from_yaml(text: str, source: str) -> dict[str, Any]:
    """Read a YAML mapping of parameters; dates stay text, as in papermill.

    Raises :class:`ConfigurationError` that names ``source``.
    """
    import yaml
    from papermill.iorw import NoDatesSafeLoader

    try:
        values = yaml.load(text, Loader=NoDatesSafeLoader)  # noqa: S506 - derived from SafeLoader
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        where = re.sub(r"\s+", " ", str(error))
        raise ConfigurationError(f"{source} is not YAML: {where}") from error
    except (LookupError, AttributeError) as error:
        raise ConfigurationError(
            f"{source} is not YAML: a value is not what its tag says, such as !!int"
        ) from error
    if values is None:
        return {}
    if _holds_too_much(values):
        raise ConfigurationError(
            f"{source} refers to itself, or holds more than {_MOST_VALUES} values with its aliases"
        )
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ConfigurationError(f"{source} is not a mapping of parameter names to values")
    return values


def _holds_too_much(value: Any) -> bool:
    left, parts = _MOST_VALUES, [value]
    while parts and len(parts) <= left:
        part = parts.pop()
        left -= 1
        parts.extend(part.values() if isinstance(part, dict) else ())
        parts.extend(part if isinstance(part, list | tuple | set) else ())
    return bool(parts)


def _from_bytes(value: object) -> str:
    if isinstance(value, bytes) and value.isascii():
        return value.decode("ascii")
    raise TypeError(f"a {type(value).__name__} is not JSON")


def from_base64(text: str, flag: str) -> dict[str, Any]:
    """Read base64 of a YAML mapping. Raises :class:`ConfigurationError` that names ``flag``."""
    try:
        decoded = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise ConfigurationError(f"{flag} is not base64 of text: {error}") from error
    return from_yaml(decoded, flag)


def from_file(path: Path) -> dict[str, Any]:
    """Read a YAML file of parameters. Raises :class:`ConfigurationError` that names it."""
    if not path.exists():
        raise ConfigurationError(
            f"there is no parameters file {path}{atomic_files.near_names(path)}"
        )
    return from_yaml(atomic_files.read(path).decode(errors="replace"), str(path))


def for_report(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``parameters`` as JSON: a secret, by its name, is masked, and a long value is cut."""
    shown: dict[str, Any] = {}
    for name, value in parameters.items():
        text = json.dumps(value, default=str, skipkeys=True)
        if _SECRET_NAME.search(name) and value:
            shown[name] = MASK
        elif len(text) > _LONGEST_SHOWN:
            shown[name] = shorten(text, _LONGEST_SHOWN)
        else:
            shown[name] = json.loads(text, parse_constant=str)
    return shown


def check_known(notebook: Any, given: Iterable[str]) -> None:
    """Refuse parameters that cannot reach the notebook's code.

    With a cell tagged ``parameters``, these are names that it does not assign; without one, names
    that the notebook never reads, or assigns again after papermill set them at its top.

    Raises :class:`ConfigurationError`.
    """
    given = list(given)
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if not tagged:
        _check_untagged(notebook, given)
        return
    known = list(dict.fromkeys(name for name, _ in _assignments(_parse(tagged[0].source))))
    for name in given:
        if name not in known:
            near = did_you_mean.nearest(name, known)
            hint = f"did you mean {near}?" if near else f"known: {', '.join(known) or 'none'}"
            raise ConfigurationError(
                f"the notebook has no parameter {name!r}: {hint} "
                "(--allow-unknown-parameters passes it anyway)"
            )


def literal_defaults(notebook: Any) -> dict[str, Any]:
    """Return what the cell tagged ``parameters`` assigns: names with a literal as their value."""
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    found = {}
    for name, value in _assignments(_parse(tagged[0].source)) if tagged else ():
        with suppress(ValueError, TypeError, MemoryError, RecursionError):
            found[name] = ast.literal_eval(value) if value else None
    return found


def _check_untagged(notebook: Any, given: Sequence[str]) -> None:
    """Refuse parameters that a notebook without a tagged cell does not use, or overwrites."""
    number = 0
    read: set[str] = set()
    for cell in notebook.cells:
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        number += 1
        tree = _parse(cell.source)
        overwritten = {
            name for name, value in _assignments(tree) if not value or name not in _names(value)
        }
        for name in given:
            if name in overwritten:
                raise ConfigurationError(
                    f"the notebook assigns {name!r} itself in cell {number} and would overwrite "
                    "the parameter: tag that cell 'parameters' "
                    "(--allow-unknown-parameters passes it anyway)"
                )
        read |= _names(tree)
    for name in given:
        if name not in read:
            near = did_you_mean.nearest(name, read)
            hint = f": did you mean {near}?" if near else "."
            raise ConfigurationError(
                f"the notebook never uses the parameter {name!r}{hint} It has no cell tagged "
                "'parameters' (--allow-unknown-parameters passes it anyway)"
            )


def _parse(source: str) -> ast.Module:
    """Parse a cell; a cell that is not Python parses as an empty one."""
    parsed = python_source.parse(source)
    return parsed.tree if parsed else ast.Module([], [])


def _assignments(tree: ast.Module) -> Iterable[tuple[str, ast.expr | None]]:
    """Yield the names that a cell assigns at its top level, with their values."""
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node.value
        if isinstance(node, ast.Assign):
            for target in node.targets:
                names = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
                yield from ((n.id, node.value) for n in names if isinstance(n, ast.Name))


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
