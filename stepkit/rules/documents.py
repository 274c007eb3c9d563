"""A rules file as YAML: strict where readers of YAML differ, small, and with line numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from stepkit.errors import ConfigurationError
from stepkit.tools import files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LARGEST_FILE: Final = 2**20  # bytes
_MOST_VALUES: Final = 20_000  # with every alias written out
_LONGEST_NUMBER: Final = 400  # characters
_TAG: Final = "tag:yaml.org,2002:"
_AMBIGUOUS: Final = "tag:stepkit,ambiguous"
_TYPES: Final = {"null", "bool", "int", "float", "str", "seq", "map", "merge"}
_WORDS: Final = {"null": "null", "bool": "true or false", "int": "number", "float": "number"}


class _Loader(yaml.SafeLoader):
    """YAML 1.2's types, which an editor goes by; a word that 1.1 reads otherwise is marked."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's shape


_RESOLVERS: Final = [
    (tag, re.compile(f"^(?:{pattern})$", re.ASCII))
    for tag, pattern in (
        (_AMBIGUOUS, r"(?i:yes|no|on|off)|[-+]?0\d[\d_]*|[-+]?\d+(:[0-5]?\d)+(\.\d*)?"),
        (_TAG + "null", r"~|null|Null|NULL|"),
        (_TAG + "bool", r"true|True|TRUE|false|False|FALSE"),
        (_TAG + "int", r"[-+]?(0|[1-9][\d_]*|0b[01]+|0o[0-7]+|0x[\da-fA-F]+)"),
        (
            _TAG + "float",
            r"[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN)",
        ),
        (_TAG + "merge", r"<<"),
    )
]
for _tag, _pattern in _RESOLVERS:
    _Loader.add_implicit_resolver(_tag, _pattern, None)


@dataclass(frozen=True)
class Document:
    """What a YAML file holds, and where."""

    path: Path
    value: Any
    node: yaml.Node | None

    def place(self, keys: Sequence[str | int]) -> str:
        """Name the file and the line where the value under ``keys`` stands."""
        node, line = self.node, 1
        for key in (None, *keys):
            node = node if key is None else _child(node, key)
            if node is None:
                break
            line = node.start_mark.line + 1
        return f"{self.path}, line {line}"


class _Refused(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, node: yaml.Node, problem: str) -> None:
        super().__init__(problem)
        self.line = node.start_mark.line + 1


def read(path: Path) -> Document:
    """Read a YAML file of mappings, lists, text, numbers, booleans and null.

    Raises :class:`ConfigurationError` that names the file and the line.
    """
    with files.explaining(f"cannot read {path}"):
        missing = not path.exists()
    if missing:
        raise ConfigurationError(f"there is no rules file {path}{files.near_names(path)}")
    content = files.read(path)
    if len(content) > _LARGEST_FILE:
        raise ConfigurationError(f"{path} is no rules file: it is larger than 1 MiB")
    try:
        node, value = _parsed(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is no text in UTF-8: {error.reason}") from error
    except _Refused as error:
        raise ConfigurationError(f"{path}, line {error.line}: {error}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigurationError(f"{path}{where}: this is not YAML: {error.problem}") from error
    except yaml.reader.ReaderError as error:
        raise ConfigurationError(f"{path} is not YAML: {error.reason}") from error
    except RecursionError as error:
        raise ConfigurationError(f"{path} is no rules file: it is nested too deeply") from error
    return Document(path, value, node)


def _parsed(text: str) -> tuple[yaml.Node | None, Any]:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, {}
        if _size(node, {}) > _MOST_VALUES:
            raise _Refused(node, f"with its aliases this holds more than {_MOST_VALUES} values")
        return node, loader.construct_document(node)
    finally:
        loader.dispose()


def _size(node: yaml.Node, known: dict[int, int | None]) -> int:
    """Count the values below ``node``, each alias as what it stands for; refuse what is wrong.

    A small file of aliases to aliases stands for billions: it is counted, never written out.
    """
    key = id(node)
    if key in known:
        size = known[key]
        if size is None:
            raise _Refused(node, "this refers to itself")
        return size
    known[key] = None
    _check(node)
    size = 1 + sum(_size(child, known) for child in _children(node))
    known[key] = size
    return size


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value


def _check(node: yaml.Node) -> None:
    if node.tag == _AMBIGUOUS:
        raise _Refused(
            node,
            f"readers of YAML disagree on {node.value}: put it in quotes, or write true, false "
            "or a plain number",
        )
    name = node.tag.removeprefix(_TAG)
    if name not in _TYPES:
        raise _Refused(
            node, f"no rule can hold {node.tag}: use text, numbers, true, false, null, lists, maps"
        )
    if isinstance(node, yaml.ScalarNode):
        if name in _WORDS:
            _check_scalar(node, name)
        if "\0" in node.value or any("\ud800" <= mark <= "\udfff" for mark in node.value):
            raise _Refused(node, "this text holds a NUL byte or half a character")
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)


def _check_scalar(node: yaml.ScalarNode, name: str) -> None:
    """Refuse what an explicit tag calls a number and is none, before a constructor stumbles."""
    patterns = [pattern for tag, pattern in _RESOLVERS if tag == _TAG + name]
    if len(node.value) > _LONGEST_NUMBER or not any(p.match(node.value) for p in patterns):
        raise _Refused(node, f"{node.value[:40]!r} is no {_WORDS[name]} that a rule can hold")


def _check_keys(node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if key.tag == _AMBIGUOUS:
            _check(key)
        if key.tag == _TAG + "merge":
            continue
        if key.tag != _TAG + "str":
            shown = f" {key.value!r}" if isinstance(key, yaml.ScalarNode) else ""
            raise _Refused(key, f"the key{shown} is no text: put it in quotes")
        if key.value in seen:
            raise _Refused(key, f"the key {key.value!r} stands here twice")
        seen.add(key.value)


def _child(node: yaml.Node | None, key: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int):
        return node.value[key] if key < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        return next((value for name, value in node.value if name.value == key), None)
    return None
